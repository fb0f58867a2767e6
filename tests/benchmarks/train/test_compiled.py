import csv
import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.base.experiment import Experiment
from df_heads.benchmarks.harness.base.machine import Machine
from df_heads.benchmarks.harness.data.images import ImageData
from df_heads.benchmarks.harness.store.results import ResultFolder
from df_heads.benchmarks.harness.sweep.run import run
from df_heads.benchmarks.harness.train.callbacks import TrainingDivergedError
from df_heads.benchmarks.harness.train.models import build_model
from df_heads.integrations.compiled.simclr import CompiledSimCLR

MACHINE = Machine(accelerator="cpu", logger="none", progress=False)
EAGER = Experiment(
    "digits",
    "transformer-small",
    learning_rate=0.05,
    backbone="test_resnet",
    image_size=16,
    epochs=3,
    batch_size=16,
)
COMPILED = dataclasses.replace(EAGER, compiled=True)


def losses(results: ResultFolder, experiment: Experiment) -> list[float]:
    lines = results.file(experiment).with_suffix(".curve.csv").read_text().splitlines()
    return [float(row["train_loss"]) for row in csv.DictReader(lines)]


def weights(results: ResultFolder, experiment: Experiment) -> dict[str, torch.Tensor]:
    file = results.work_dir(experiment) / "last.ckpt"
    state: dict[str, torch.Tensor] = torch.load(file, weights_only=True)["state_dict"]
    return state


def test_trains_as_the_eager_step_does(tmp_path: Path, tiny_data: ImageData) -> None:
    results = ResultFolder(tmp_path)
    for experiment in (EAGER, COMPILED):
        assert run(experiment, tiny_data, results, MACHINE) is not None
    assert losses(results, COMPILED) == pytest.approx(losses(results, EAGER), rel=1e-4)
    eager, compiled = weights(results, EAGER), weights(results, COMPILED)
    assert eager.keys() == compiled.keys()
    started = build_model(EAGER).state_dict()
    for name, value in eager.items():
        if value.is_floating_point():
            moved = (value - started[name]).abs().max()
            assert (compiled[name] - value).abs().max() <= 0.02 * moved + 1e-6, name


def test_goes_on_where_it_was_interrupted(
    tmp_path: Path, tiny_data: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, parts = ResultFolder(tmp_path / "whole"), ResultFolder(tmp_path / "parts")
    run(COMPILED, tiny_data, whole, MACHINE)

    def killed(self: Any) -> None:
        if self.current_epoch == 2:
            raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(CompiledSimCLR, "on_train_epoch_end", killed)
        with pytest.raises(RuntimeError, match="killed"):
            run(COMPILED, tiny_data, parts, MACHINE)
    run(COMPILED, tiny_data, parts, MACHINE)
    assert losses(parts, COMPILED) == losses(whole, COMPILED)
    for name, value in weights(whole, COMPILED).items():
        assert torch.equal(value, weights(parts, COMPILED)[name]), name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "byol", "temperature": 0.2}, "method=byol; use --method simclr"),
        ({"augment": "lightly"}, "augment=lightly; use --augment ours"),
        ({"devices": 2}, "devices=2; use --devices 1"),
        ({"precision": "16-mixed"}, "precision=16-mixed; use --precision bf16-mixed"),
    ],
)
def test_what_cannot_be_compiled_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build_model(dataclasses.replace(COMPILED, **changes))


def test_bad_losses_stop_it(
    tmp_path: Path, tiny_data: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        CompiledSimCLR, "loss", lambda self, views: self(views[0]).sum() * float("nan")
    )
    with pytest.raises(TrainingDivergedError, match="loss became nan in epoch 1, step 1"):
        run(COMPILED, tiny_data, ResultFolder(tmp_path), MACHINE)
