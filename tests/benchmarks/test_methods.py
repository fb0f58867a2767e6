import dataclasses
from pathlib import Path
from typing import Any

import pytest

from df_heads.benchmarks.harness.experiment import Experiment
from df_heads.benchmarks.harness.images import ImageData, load_images
from df_heads.benchmarks.harness.machine import Machine
from df_heads.benchmarks.harness.methods import METHODS, build_model
from df_heads.benchmarks.harness.results import ResultFolder, collapsed
from df_heads.benchmarks.harness.training import run

MACHINE = Machine(accelerator="cpu", logger="none", progress=False)
TINY = Experiment(
    "digits",
    "transformer-small",
    backbone="test_resnet",
    image_size=16,
    epochs=2,
    batch_size=16,
    learning_rate=0.05,
    num_layers=1,
)


def test_a_method_takes_its_options_from_the_experiment() -> None:
    moco = build_model(
        dataclasses.replace(TINY, method="moco", queue_size=40, temperature=0.3, views="joint")
    )
    assert moco.queue.keys.shape == (40, 128)
    assert (moco.temperature, moco.teacher_momentum, moco.views) == (0.3, 0.999, "joint")
    byol = build_model(dataclasses.replace(TINY, method="byol", teacher_momentum=0.9))
    assert (byol.teacher_momentum, byol.learning_rate) == (0.9, 0.05)
    assert build_model(dataclasses.replace(TINY, devices=2)).criterion.gather_distributed
    assert not build_model(TINY).criterion.gather_distributed


@pytest.mark.parametrize("method", ["moco", "byol"])
def test_a_run_of_another_method_has_no_collapse_loss(
    method: str, tmp_path: Path, tiny_data: ImageData
) -> None:
    experiment = dataclasses.replace(TINY, method=method, epochs=1)
    content = run(experiment, tiny_data, ResultFolder(tmp_path), MACHINE)
    assert content is not None
    assert "final_train_loss" in content["metrics"]
    assert "collapse_loss" not in content["metrics"]
    assert not collapsed(content)
