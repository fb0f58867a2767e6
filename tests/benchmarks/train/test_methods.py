import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from lightly.models.modules import SimCLRProjectionHead

from df_heads.benchmarks import run_table2
from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.base.experiment import Experiment
from df_heads.benchmarks.harness.base.machine import Machine
from df_heads.benchmarks.harness.data.images import ImageData, load_images
from df_heads.benchmarks.harness.store.results import ResultFolder
from df_heads.benchmarks.harness.sweep.run import run
from df_heads.benchmarks.harness.train.methods import METHODS
from df_heads.benchmarks.harness.train.models import build_model

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
    moco: Any = build_model(
        dataclasses.replace(TINY, method="moco", queue_size=40, temperature=0.3, views="joint")
    )
    assert moco.queue.keys.shape == (40, 128)
    assert (moco.temperature, moco.teacher_momentum, moco.views) == (0.3, 0.999, "joint")
    byol: Any = build_model(dataclasses.replace(TINY, method="byol", teacher_momentum=0.9))
    assert (byol.teacher_momentum, byol.learning_rate) == (0.9, 0.05)
    assert build_model(dataclasses.replace(TINY, devices=2)).criterion.gather_distributed
    assert not build_model(TINY).criterion.gather_distributed
    chunked = build_model(dataclasses.replace(TINY, loss_chunk_size=5, devices=2)).criterion
    assert (chunked.chunk_size, chunked.gather_distributed) == (5, True)


def test_simclr_takes_masks_and_streams_from_the_experiment() -> None:
    masked = build_model(dataclasses.replace(TINY, views="joint", mask_partner=True))
    assert masked.partner_mask is not None
    assert build_model(dataclasses.replace(TINY, streams=2)).streams == 2
    wide = build_model(dataclasses.replace(TINY, head="feedforward-small", hidden_dim=24))
    assert wide.projection_head.hidden_dim == 24
    for change in ({"streams": 2}, {"views": "joint", "mask_partner": True}):
        with pytest.raises(InputError, match="has no meaning for moco"):
            build_model(dataclasses.replace(TINY, method="moco", **change))
    with pytest.raises(InputError, match="mask_partner=True needs views='joint'"):
        build_model(dataclasses.replace(TINY, mask_partner=True))


@pytest.mark.parametrize("method", list(METHODS))
def test_lightlys_head_is_known_by_name_and_paired_with_the_others(method: str) -> None:
    drawn, backbones = [], []
    for head, layers in (("lightly-small", None), ("transformer-small", 1)):
        torch.manual_seed(0)
        model = build_model(dataclasses.replace(TINY, method=method, head=head, num_layers=layers))
        drawn.append(torch.rand(1))
        backbones.append(model.backbone.state_dict())
        if head == "lightly-small":
            assert isinstance(model.projection_head, SimCLRProjectionHead)
            assert model.projection_head.layers[0].out_features == 512
            wide = model.head_defaults.get("output_dim", 128)
            assert model.projection_head.layers[3].out_features == wide
    assert torch.equal(*drawn)
    for name, value in backbones[0].items():
        assert torch.equal(value, backbones[1][name]), name


def test_tables_take_lightlys_head() -> None:
    jobs = run_table2.jobs(run_table2.parse(["--heads", "lightly", "--datasets", "cifar10"]))
    assert [job.experiment.head for job in jobs] == ["untrained", "lightly-small", "lightly-large"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_layers": None, "num_heads": 4}, "'lightly-small' does not take the options"),
        ({"num_layers": None, "backbone": "nothing"}, "nothing"),
        ({"head": "lightly-huge"}, "The head 'lightly-huge' must end in one of -small, -large"),
    ],
)
def test_what_lightlys_head_cannot_do_gets_one_sentence(
    change: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        build_model(dataclasses.replace(TINY, **{"head": "lightly-small", **change}))


def test_a_run_with_lightlys_head_goes_on_from_its_checkpoint(
    tmp_path: Path, tiny_data: ImageData
) -> None:
    experiment = dataclasses.replace(TINY, head="lightly-small", num_layers=None, epochs=1)
    results = ResultFolder(tmp_path)
    for _ in range(2):
        content = run(experiment, tiny_data, results, MACHINE)
        assert content is not None
        # 512 and 128 outputs, each with BatchNorm in place of a bias.
        backbone: Any = build_model(experiment).backbone
        width = backbone.num_features
        assert content.parameters.head == 512 * (width + 2) + 128 * (512 + 2)


@pytest.mark.parametrize("method", [name for name in METHODS if name != "simclr"])
def test_a_run_of_another_method_has_no_collapse_loss(
    method: str, tmp_path: Path, tiny_data: ImageData
) -> None:
    experiment = dataclasses.replace(TINY, method=method, epochs=1)
    content = run(experiment, tiny_data, ResultFolder(tmp_path), MACHINE)
    assert content is not None
    assert "final_train_loss" in content.metrics
    assert "collapse_loss" not in content.metrics
    assert not content.collapsed


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
@pytest.mark.parametrize("method", list(RECIPES))
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
        metrics[name] = content.metrics
    for metric, margin in (("unsupervised", 3), ("knn10_cosine", 5)):
        assert metrics["trained"][metric] > metrics["untrained"][metric] + margin, metric
