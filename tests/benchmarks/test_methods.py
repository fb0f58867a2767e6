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
    chunked = build_model(dataclasses.replace(TINY, loss_chunk_size=5, devices=2)).criterion
    assert (chunked.chunk_size, chunked.gather_distributed) == (5, True)


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


# Four epochs are few: the teacher must move faster than the papers' defaults, which are for long
# runs, and with the Transformer head MoCo was at 72.5 % only, so here it has the feed-forward one.
BUDGET = dataclasses.replace(
    TINY, epochs=4, batch_size=64, learning_rate=0.1, warmup_fraction=0.2, num_layers=2
)
RECIPES: dict[str, dict[str, Any]] = {
    "simclr": {},
    "moco": {"head": "feedforward-small", "queue_size": 512, "teacher_momentum": 0.9},
    "byol": {"teacher_momentum": 0.9},
}


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> ImageData:
    return load_images(
        "digits", data_dir=None, image_size=16, cache_dir=tmp_path_factory.mktemp("cache")
    )


@pytest.mark.slow
@pytest.mark.parametrize("views", ["separate", "joint"])
@pytest.mark.parametrize("method", list(METHODS))
def test_each_method_beats_the_untrained_backbone(
    method: str, views: str, digits: ImageData, tmp_path: Path
) -> None:
    """By nearest neighbours within the 360 test digits, and by 10 of the training digits.

    Seen, separate and joint: SimCLR 78.6 and 85.8 %, MoCo 86.7 and 83.3, BYOL 80.6 and 75.8,
    untrained 70.3; with 10 neighbours SimCLR 86.9 and 89.7, MoCo 86.9 and 86.9, BYOL 85.8 and 85.0,
    untrained 76.4.
    """
    experiment = dataclasses.replace(BUDGET, method=method, views=views, **RECIPES[method])
    metrics = {}
    for name, each in (("trained", experiment), ("untrained", experiment.untrained)):
        content = run(each, digits, ResultFolder(tmp_path), MACHINE)
        assert content is not None
        metrics[name] = content["metrics"]
    for metric, margin in (("unsupervised", 3), ("knn10_cosine", 5)):
        assert metrics["trained"][metric] > metrics["untrained"][metric] + margin, metric
