import csv
import dataclasses
import logging
import math
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, Trainer

from df_heads import build_head
from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.base.experiment import Experiment
from df_heads.benchmarks.harness.base.machine import Machine
from df_heads.benchmarks.harness.data.images import ImageData
from df_heads.benchmarks.harness.evaluate import scoring
from df_heads.benchmarks.harness.store.results import ResultFolder
from df_heads.benchmarks.harness.store.schema import DataUsed
from df_heads.benchmarks.harness.sweep.run import run
from df_heads.benchmarks.harness.train import training
from df_heads.benchmarks.harness.train.callbacks import TrainingDivergedError
from df_heads.benchmarks.harness.train.methods import METHODS
from df_heads.benchmarks.harness.train.models import untrained_backbone
from df_heads.benchmarks.harness.views.building import build_batches
from df_heads.integrations.simclr import SimCLR

MACHINE = Machine(accelerator="cpu", logger="none", progress=False)
TINY = Experiment(
    "digits",
    "transformer-small",
    learning_rate=0.05,
    backbone="test_resnet",
    image_size=16,
    epochs=3,
    batch_size=16,
)


class Crash(Callback):
    """Stops the process's run after some epochs, as a killed job would."""

    def __init__(self, after_epochs: int) -> None:
        self.after_epochs = after_epochs

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        if trainer.current_epoch == self.after_epochs:
            raise RuntimeError("killed")


def crashing(monkeypatch: pytest.MonkeyPatch, after_epochs: int) -> None:
    class CrashingTrainer(Trainer):
        def __init__(self, *, callbacks: list[Callback], **options: Any) -> None:
            super().__init__(callbacks=[*callbacks, Crash(after_epochs)], **options)

    monkeypatch.setattr(training, "Trainer", CrashingTrainer)


def weights(results: ResultFolder, experiment: Experiment) -> dict[str, torch.Tensor]:
    file = results.work_dir(experiment) / "last.ckpt"
    state: dict[str, torch.Tensor] = torch.load(file, weights_only=True)["state_dict"]
    return state


def curve(results: ResultFolder, experiment: Experiment) -> list[dict[str, str]]:
    lines = results.file(experiment).with_suffix(".curve.csv").read_text().splitlines()
    return list(csv.DictReader(lines))


def test_the_head_of_an_experiment(tmp_path: Path, tiny_data: ImageData) -> None:
    deeper = dataclasses.replace(TINY, epochs=1, num_layers=2, sequence_length=8)
    assert deeper.head_options == {"num_layers": 2, "sequence_length": 8}
    assert TINY.head_options == {}
    content = run(deeper, tiny_data, ResultFolder(tmp_path), MACHINE)
    assert content is not None
    assert content.parameters.head == sum(
        p.numel() for p in build_head("transformer-small", 96, num_layers=2).parameters()
    )


def test_a_run_writes_its_result_and_curve(tmp_path: Path, tiny_data: ImageData) -> None:
    results = ResultFolder(tmp_path)
    content = run(TINY, tiny_data, results, MACHINE, data_note="made up")
    saved = results.load(TINY)
    assert saved is not None
    assert content is not None
    assert saved == content
    assert saved.data == DataUsed("digits", "made up", "0" * 16, train=48, test=20, classes=2)
    assert saved.parameters.head > 1e6
    assert 0 <= saved.metrics["unsupervised"] <= 100
    assert saved.metrics["collapse_loss"] == pytest.approx(math.log(31))
    assert saved.environment.packages["torch"] == torch.__version__.split("+")[0]
    rows = curve(results, TINY)
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3]
    assert float(rows[-1]["train_loss"]) == saved.metrics["final_train_loss"]
    assert saved.seconds["train"] == pytest.approx(sum(float(r["seconds"]) for r in rows))


@pytest.mark.parametrize(
    ("logger", "file"), [("csv", "csv/metrics.csv"), ("tensorboard", "tensorboard/events.*")]
)
def test_the_loss_is_logged(logger: str, file: str, tmp_path: Path, tiny_data: ImageData) -> None:
    results, brief = ResultFolder(tmp_path), dataclasses.replace(TINY, epochs=1)
    run(brief, tiny_data, results, dataclasses.replace(MACHINE, logger=logger, progress=True))
    logs = list(results.work_dir(brief).glob(file))
    assert len(logs) == 1
    if logger == "csv":
        assert "train_loss_step" in logs[0].read_text()


def test_the_same_seed_gives_the_same_run_and_another_seed_another(
    tmp_path: Path, tiny_data: ImageData
) -> None:
    other = dataclasses.replace(TINY, seed=1)
    a, b = ResultFolder(tmp_path / "a"), ResultFolder(tmp_path / "b")
    for results in (a, b):
        run(TINY, tiny_data, results, MACHINE)
    run(other, tiny_data, a, MACHINE)
    for name, value in weights(a, TINY).items():
        assert torch.equal(value, weights(b, TINY)[name])
    assert not torch.equal(
        weights(a, TINY)["projection_head.input.weight"],
        weights(a, other)["projection_head.input.weight"],
    )


def test_lightning_says_nothing_of_itself(
    tmp_path: Path, tiny_data: ImageData, capfd: pytest.CaptureFixture[str]
) -> None:
    # Importing Lightning sets the level of its logger, which may be long after the start.
    logging.getLogger("pytorch_lightning").setLevel(logging.INFO)
    run(dataclasses.replace(TINY, epochs=1), tiny_data, ResultFolder(tmp_path), MACHINE)
    assert capfd.readouterr() == ("", "")


def test_heads_of_one_seed_see_the_same_views(
    tmp_path: Path, tiny_data: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, list[float]] = {}

    class Recording(SimCLR):
        def loss(self, views: Any) -> torch.Tensor:
            seen.setdefault(type(self.projection_head).__name__, []).extend(
                view.double().sum().item() for view in views
            )
            return super().loss(views)

    monkeypatch.setitem(METHODS._entries, "simclr", lambda: Recording)
    for head in ("transformer-small", "feedforward-small"):
        run(dataclasses.replace(TINY, head=head), tiny_data, ResultFolder(tmp_path), MACHINE)
    first, second = seen.values()
    assert len(first) == 3 * 3 * 2
    assert first == second
    assert len(set(first)) == len(first)


def test_a_killed_run_goes_on_and_ends_as_if_it_had_not_been(
    tmp_path: Path, tiny_data: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, killed = ResultFolder(tmp_path / "whole"), ResultFolder(tmp_path / "killed")
    run(TINY, tiny_data, whole, MACHINE)
    with monkeypatch.context() as patch:
        crashing(patch, after_epochs=2)
        with pytest.raises(RuntimeError, match="killed"):
            run(TINY, tiny_data, killed, MACHINE)
    assert killed.load(TINY) is None
    run(TINY, tiny_data, killed, MACHINE)
    for name, value in weights(whole, TINY).items():
        assert torch.equal(value, weights(killed, TINY)[name]), name
    result = killed.load(TINY)
    assert result is not None
    assert result.metrics == whole.load(TINY).metrics
    rows = curve(killed, TINY)
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3]


def test_a_run_killed_in_its_evaluation_is_not_trained_again(
    tmp_path: Path, tiny_data: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*args: Any) -> dict[str, float]:
        raise RuntimeError("killed")

    many, results = dataclasses.replace(TINY, epochs=4), ResultFolder(tmp_path)
    monkeypatch.setattr(training, "CHECKPOINTS_PER_RUN", 1)
    with monkeypatch.context() as patch:
        patch.setattr(scoring, "evaluate", killed)
        with pytest.raises(RuntimeError, match="killed"):
            run(many, tiny_data, results, MACHINE)
    before = weights(results, many)

    class Untouched(SimCLR):
        def loss(self, views: Any) -> torch.Tensor:
            raise AssertionError("trained again")

    monkeypatch.setitem(METHODS._entries, "simclr", lambda: Untouched)
    content = run(many, tiny_data, results, MACHINE)
    assert content is not None
    assert content.seconds["train"] > 0
    for name, value in weights(results, many).items():
        assert torch.equal(value, before[name])


def test_the_untrained_backbone_is_the_one_that_training_starts_from(
    tmp_path: Path, tiny_data: ImageData
) -> None:
    results = ResultFolder(tmp_path)
    barely = dataclasses.replace(TINY, epochs=1, learning_rate=1e-12)
    trained = run(barely, tiny_data, results, MACHINE)
    untrained = run(TINY.untrained, tiny_data, results, MACHINE)
    assert untrained is not None
    assert trained is not None
    assert untrained.parameters.head == 0
    assert untrained.parameters.backbone == trained.parameters.backbone
    torch.manual_seed(0)
    backbone = untrained_backbone(TINY)
    for name, value in backbone.named_parameters():
        after = weights(results, barely)[f"backbone.{name}"]
        torch.testing.assert_close(after, value.detach(), atol=1e-6, rtol=0)


def test_a_loss_that_is_not_finite_keeps_the_last_good_checkpoint(
    tmp_path: Path, tiny_data: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Diverging(SimCLR):
        def loss(self, views: Any) -> torch.Tensor:
            return super().loss(views) * (math.nan if self.current_epoch == 2 else 1.0)

    monkeypatch.setitem(METHODS._entries, "simclr", lambda: Diverging)
    results = ResultFolder(tmp_path)
    with pytest.raises(TrainingDivergedError, match=r"became nan in epoch 3, step 1.*last\.ckpt"):
        run(TINY, tiny_data, results, MACHINE)
    assert results.load(TINY) is None
    assert all(value.isfinite().all() for value in weights(results, TINY).values())


def test_ctrl_c_ends_a_run_that_goes_on_later(
    tmp_path: Path, tiny_data: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted(SimCLR):
        def loss(self, views: Any) -> torch.Tensor:
            if self.current_epoch == 2:
                raise KeyboardInterrupt
            return super().loss(views)

    results, handler = ResultFolder(tmp_path), signal.getsignal(signal.SIGINT)
    try:
        with monkeypatch.context() as patch:
            patch.setitem(METHODS._entries, "simclr", lambda: Interrupted)
            with pytest.raises(KeyboardInterrupt):
                run(TINY, tiny_data, results, MACHINE)
    finally:
        signal.signal(signal.SIGINT, handler)
    assert results.load(TINY) is None
    assert run(TINY, tiny_data, results, MACHINE) is not None


def test_a_truncated_checkpoint_is_refused_and_kept(
    tmp_path: Path, tiny_data: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = ResultFolder(tmp_path)
    with monkeypatch.context() as patch:
        crashing(patch, after_epochs=1)
        with pytest.raises(RuntimeError, match="killed"):
            run(TINY, tiny_data, results, MACHINE)
    checkpoint = results.work_dir(TINY) / "last.ckpt"
    damaged = checkpoint.read_bytes()[:5000]
    checkpoint.write_bytes(damaged)
    with pytest.raises(InputError, match=r"last\.ckpt is damaged .*; delete it .*--no-resume"):
        run(TINY, tiny_data, results, MACHINE)
    assert checkpoint.read_bytes() == damaged
    assert run(TINY, tiny_data, results, dataclasses.replace(MACHINE, resume=False)) is not None


def test_a_work_folder_of_another_config_is_refused(tmp_path: Path, tiny_data: ImageData) -> None:
    results = ResultFolder(tmp_path)
    folder = results.work_dir(TINY)
    folder.mkdir(parents=True)
    (folder / "experiment.json").write_text('{"head": "other"}')
    with pytest.raises(InputError, match="holds another config; choose another --out-dir"):
        run(TINY, tiny_data, results, MACHINE)
    assert (folder / "experiment.json").read_text() == '{"head": "other"}'


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 49}, "batch_size=49 is more than the 48 training images"),
        ({"train_images": 100}, "--train-images 100 is more than the 48"),
        ({"backbone": "resnet19"}, "no backbone 'resnet19'"),
        ({"stem": "small", "backbone": "resnet18d"}, "stem='small' is for"),
        ({"devices": 3}, "batch_size=16 cannot be divided among 3 devices"),
        ({"precision": "16-mixed"}, "--precision 16-mixed needs a GPU"),
    ],
)
def test_experiments_that_do_not_fit_get_one_clear_sentence(
    changes: dict[str, Any], message: str, tmp_path: Path, tiny_data: ImageData
) -> None:
    with pytest.raises(InputError, match=message):
        run(dataclasses.replace(TINY, **changes), tiny_data, ResultFolder(tmp_path), MACHINE)


def test_fewer_training_images_keep_the_classes_balanced(
    tmp_path: Path, tiny_data: ImageData
) -> None:
    few = dataclasses.replace(TINY, train_images=20, epochs=1)
    content = run(few, tiny_data, ResultFolder(tmp_path), MACHINE)
    assert content is not None
    assert content.data.train == 20


def test_imbalanced_training_and_balanced_probes(
    tmp_path: Path, tiny_data: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, int] = {}

    def batches(experiment: Experiment, data: ImageData, workers: int) -> Any:
        seen["trained on"] = len(data.train_labels)
        return build_batches(experiment, data, workers)

    def evaluate(backbone: Any, data: ImageData, *_: Any) -> dict[str, float]:
        seen["probed with"] = len(data.train_labels)
        return {"unsupervised": 1.0, "supervised": 2.0}

    monkeypatch.setattr(training, "build_batches", batches)
    monkeypatch.setattr(scoring, "evaluate", evaluate)
    tailed = dataclasses.replace(TINY, imbalance=2.0, epochs=1)
    content = run(tailed, tiny_data, ResultFolder(tmp_path), MACHINE)
    assert seen == {"trained on": 36, "probed with": 48}
    assert content is not None
    assert content.data.train == 36
    assert tailed.untrained == TINY.untrained
