import dataclasses
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.base.experiment import Experiment
from df_heads.benchmarks.harness.data.images import ImageData
from df_heads.benchmarks.harness.views.building import AUGMENTS, build_batches

EXPERIMENT = Experiment("digits", "feedforward-small", image_size=16, batch_size=16, epochs=2)


class FakeTrainer:
    """What batches need of a Trainer."""

    world_size, global_rank, global_step, num_training_batches = 1, 0, 0, 3

    def __init__(self, epoch: int) -> None:
        self.current_epoch = epoch
        progress = SimpleNamespace(current=SimpleNamespace(ready=0))
        self.fit_loop = SimpleNamespace(epoch_loop=SimpleNamespace(batch_progress=progress))


def epoch(experiment: Experiment, data: ImageData, number: int = 0, workers: int = 0) -> list[Any]:
    batches = build_batches(experiment, data, workers)
    trainer: Any = FakeTrainer(number)
    batches.trainer = trainer
    loader = batches.train_dataloader()
    found = []
    for step, batch in enumerate(loader):
        trainer.global_step = 3 * number + step
        found.append(batches.on_after_batch_transfer(batch, 0))
    return found


def views_of(batches: list[Any]) -> list[Tensor]:
    return [view for views, _ in batches for view in views]


def with_the_next_global_draws(
    experiment: Experiment, data: ImageData
) -> tuple[list[Any], list[float]]:
    torch.manual_seed(1)
    np.random.seed(1)
    batches = epoch(experiment, data)
    return batches, [float(torch.rand(())), np.random.random()]


@pytest.mark.parametrize("augment", AUGMENTS)
def test_views_are_normalised_and_depend_on_seed_and_epoch_only(
    augment: str, tiny_data: ImageData
) -> None:
    if augment == "kornia":
        pytest.importorskip("kornia")
    experiment = dataclasses.replace(EXPERIMENT, augment=augment)
    once, drawn_next = with_the_next_global_draws(experiment, tiny_data)
    assert drawn_next == with_the_next_global_draws(EXPERIMENT, tiny_data)[1]
    assert len(once) == 3
    for views, labels in once:
        assert [tuple(view.shape) for view in views] == [(16, 3, 16, 16)] * 2
        assert views[0].dtype == torch.float32
        assert not torch.equal(*views)
        assert -2.2 < views[0].min() < -1 < views[0].max() < 2.7
        assert len(labels) == 16
    again = epoch(experiment, tiny_data)
    assert all(map(torch.equal, views_of(once), views_of(again)))
    for other in (
        epoch(dataclasses.replace(experiment, seed=1), tiny_data),
        epoch(experiment, tiny_data, number=1),
    ):
        assert not torch.equal(views_of(once)[0], views_of(other)[0])


def test_every_augment_draws_from_the_same_images_in_the_same_order(tiny_data: ImageData) -> None:
    labels = {
        augment: [
            batch[1].tolist()
            for batch in epoch(dataclasses.replace(EXPERIMENT, augment=augment), tiny_data)
        ]
        for augment in ("ours", "lightly")
    }
    assert labels["ours"] == labels["lightly"]


@pytest.mark.slow
def test_lightly_views_do_not_depend_on_the_workers(tiny_data: ImageData) -> None:
    experiment = dataclasses.replace(EXPERIMENT, augment="lightly")
    alone, shared = epoch(experiment, tiny_data), epoch(experiment, tiny_data, workers=1)
    assert all(map(torch.equal, views_of(alone), views_of(shared)))


def test_a_missing_kornia_is_named_with_its_cure(
    tiny_data: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "kornia", None)
    with pytest.raises(InputError, match="pip install kornia"):
        build_batches(dataclasses.replace(EXPERIMENT, augment="kornia"), tiny_data)


def test_images_are_not_copied_into_checkpoints(tmp_path: Path, tiny_data: ImageData) -> None:
    batches = build_batches(EXPERIMENT, tiny_data)
    assert batches.state_dict() == {"epoch": 0, "batch": 0}
