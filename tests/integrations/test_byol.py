import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from df_heads.integrations.byol import BYOL

Make = Callable[..., Any]


def plain_loss(p: Tensor, z: Tensor) -> Tensor:
    """Equation 2, one image at a time."""
    losses = [
        (q / q.norm() - target / target.norm()).pow(2).sum() for q, target in zip(p, z, strict=True)
    ]
    return torch.stack(losses).mean()


def student(model: Any, views: list[Tensor]) -> tuple[Tensor, Tensor]:
    features = [model.backbone(view).flatten(1) for view in views]
    if model.views == "joint":
        joined = model.prediction_head(model.projection_head(torch.cat(features)))
        return joined.chunk(2)
    p0, p1 = (model.prediction_head(model.projection_head(f)) for f in features)
    return p0, p1


def target(model: Any, views: list[Tensor]) -> tuple[Tensor, Tensor]:
    features = [model.teacher.backbone(view).flatten(1) for view in views]
    if model.views == "joint":
        return model.teacher.projection_head(torch.cat(features)).chunk(2)
    z0, z1 = (model.teacher.projection_head(f) for f in features)
    return z0, z1


@pytest.mark.parametrize("mode", ["separate", "joint"])
def test_the_loss_is_equation_2_in_both_directions(
    mode: Any, tiny: Make, views: list[Tensor]
) -> None:
    model = tiny(BYOL, views=mode)
    with torch.no_grad():  # a teacher that is not the student
        for parameter in model.teacher.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    p0, p1 = student(model, views)
    z0, z1 = target(model, views)
    expected = plain_loss(p0, z1) + plain_loss(p1, z0)
    torch.testing.assert_close(model.loss(views), expected)
    assert 0 < expected < 8


@pytest.mark.parametrize("mode", ["separate", "joint"])
def test_the_views_of_an_image_meet_in_joint_mode_only(
    mode: str, tiny: Make, views: list[Tensor]
) -> None:
    model = tiny(BYOL, views=mode)
    features = [model(view) for view in views]
    other = [features[0], features[1] + 1]
    change = (model.project(features)[0] - model.project(other)[0]).abs().max()
    assert (change > 1e-3) == (mode == "joint")


def test_training_brings_predictions_and_targets_together(
    tiny: Make, quick_trainer: Make, loader: Make, views: list[Tensor]
) -> None:
    model = tiny(BYOL, learning_rate=0.05)
    before = model.loss(views).item()
    trainer = quick_trainer(max_epochs=5)
    trainer.fit(model, loader())
    assert float(trainer.callback_metrics["train_loss"]) < before - 1


def test_the_momentum_rises_to_1_by_a_cosine(tiny: Make, quick_trainer: Make, loader: Make) -> None:
    moved = []

    class Recorder(BYOL):
        def momentum_at(self, step: int, steps: int) -> float:
            moved.append((step, steps, super().momentum_at(step, steps)))
            return moved[-1][2]

    quick_trainer().fit(tiny(Recorder, teacher_momentum=0.9), loader())
    assert [step for step, _, _ in moved] == list(range(8))
    for step, steps, momentum in moved:
        assert steps == 8
        cosine = (math.cos(math.pi * step / 7) + 1) / 2
        assert momentum == pytest.approx(1 - 0.1 * cosine)
    assert moved[0][2] == pytest.approx(0.9)
    assert moved[-1][2] == 1


def test_the_default_is_the_papers() -> None:
    model = BYOL("test_resnet", image_size=16)
    assert model.momentum_at(0, 1000) == pytest.approx(0.996)
    shapes = [tuple(p.shape) for p in model.prediction_head.parameters() if p.dim() == 2]
    assert shapes == [(4096, 128), (128, 4096)]


@pytest.mark.parametrize("mode", ["separate", "joint"])
def test_a_batch_of_1_gets_one_clear_sentence(mode: Any, tiny: Make) -> None:
    batch = ([torch.ones(1, 3, 16, 16)] * 2, 0)
    with pytest.raises(ValueError, match="holds 1 image; the BatchNorm of BYOL's prediction head"):
        tiny(BYOL, views=mode).training_step(batch, 0)


def test_bad_options_get_one_clear_sentence(tiny: Make) -> None:
    with pytest.raises(ValueError, match="prediction_hidden_dim=0 must be at least 1"):
        tiny(BYOL, prediction_hidden_dim=0)
    with pytest.raises(ValueError, match="views='both' is not known"):
        tiny(BYOL, views="both")
