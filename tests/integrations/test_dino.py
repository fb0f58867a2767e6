import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from lightly.models.modules import DINOProjectionHead
from torch import Tensor

from df_heads.integrations.dino import DINO, Prototypes

Make = Callable[..., Any]
SMALL = {"num_prototypes": 12}


def cross_entropy(teacher: Tensor, student: Tensor, center: Tensor) -> Tensor:
    """Equation 2, one image at a time."""
    losses = []
    for t, s in zip(teacher, student, strict=True):
        target = ((t - center) / 0.04).softmax(0)
        losses.append(-(target * (s / 0.1).log_softmax(0)).sum())
    return torch.stack(losses).mean()


def test_prototypes_are_lightlys_last_layer() -> None:
    with warnings.catch_warnings():  # their weight_norm is the older of torch's two
        warnings.simplefilter("ignore", FutureWarning)
        theirs = DINOProjectionHead(4, 4, 6, 10)
    ours = Prototypes(6, 10)
    ours.weight.data.copy_(theirs.last_layer.weight_v)
    z = torch.randn(5, 6)
    expected = theirs.last_layer(torch.nn.functional.normalize(z, dim=-1))
    torch.testing.assert_close(ours(z), expected)


@pytest.mark.parametrize("mode", ["separate", "joint"])
def test_the_loss_is_equation_3_and_moves_the_centre(
    mode: Any, tiny: Make, views: list[Tensor]
) -> None:
    model = tiny(DINO, views=mode, **SMALL)
    with torch.no_grad():  # a teacher that is not the student
        for parameter in model.teacher.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
        model.criterion.center.add_(0.1 * torch.randn(12))
    center = model.criterion.center.flatten().clone()

    def outputs(network: Any) -> list[Tensor]:
        features = [network.backbone(view).flatten(1) for view in views]
        if mode == "joint":
            both = network.prototypes(network.projection_head(torch.cat(features)))
            return list(both.chunk(2))
        return [network.prototypes(network.projection_head(f)) for f in features]

    (s0, s1), (t0, t1) = outputs(model), outputs(model.teacher)
    expected = cross_entropy(t0, s1, center) / 2 + cross_entropy(t1, s0, center) / 2
    torch.testing.assert_close(model.loss(views), expected)
    moved = 0.9 * center + 0.1 * torch.cat([t0, t1]).mean(dim=0)
    torch.testing.assert_close(model.criterion.center.flatten(), moved)


@pytest.mark.parametrize("epochs", [0, 1])
def test_the_prototypes_are_frozen_at_first(
    epochs: int, tiny: Make, quick_trainer: Make, loader: Make
) -> None:
    model = tiny(DINO, freeze_last_layer=epochs, teacher_momentum=0.5, **SMALL)
    before = model.prototypes.weight.detach().clone()
    head = model.projection_head.input.weight.detach().clone()
    quick_trainer(max_epochs=1).fit(model, loader())
    assert torch.equal(model.prototypes.weight, before) == (epochs == 1)
    assert not torch.equal(model.projection_head.input.weight, head)


def test_the_teacher_follows_with_its_prototypes(tiny: Make) -> None:
    model = tiny(DINO, **SMALL)
    assert torch.equal(model.teacher.prototypes.weight, model.prototypes.weight)
    assert not any(p.requires_grad for p in model.teacher.parameters())
    before = model.prototypes.weight.detach().clone()
    with torch.no_grad():
        model.prototypes.weight.add_(1)
    model.teacher.update(model, 0.75)
    torch.testing.assert_close(model.teacher.prototypes.weight, before + 0.25)


def test_the_defaults_are_the_papers() -> None:
    model = DINO("test_resnet", image_size=16, head_options={"num_layers": 1})
    assert model.projection_head.output_dim == 256
    assert model.prototypes.weight.shape == (65536, 256)
    assert model.momentum_at(0, 1000) == pytest.approx(0.996)
    assert model.momentum_at(999, 1000) == 1


def test_training_lowers_the_loss(
    tiny: Make, quick_trainer: Make, loader: Make, views: list[Tensor]
) -> None:
    model = tiny(DINO, learning_rate=0.05, teacher_momentum=0.9, **SMALL)
    for _ in range(50):  # the centre starts at 0, where one prototype may fit all images
        before = model.loss(views).item()
    trainer = quick_trainer(max_epochs=10)
    trainer.fit(model, loader())
    assert float(trainer.callback_metrics["train_loss"]) < before - 0.1


def test_multi_crop_gets_one_clear_sentence(tiny: Make, views: list[Tensor]) -> None:
    crops = [*views, *(view[..., :8, :8] for view in views)]
    with pytest.raises(ValueError, match=r"holds 4 views .* methods take 2.*n_local_views=0"):
        tiny(DINO, **SMALL).training_step((crops, 0), 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_prototypes": 0}, "num_prototypes=0 must be a whole number of at least 1"),
        ({"student_temp": 0.0}, "student_temp=0.0 must be above 0"),
        ({"teacher_temp": float("nan")}, "teacher_temp=nan must be above 0 and finite"),
        ({"center_momentum": 1.0}, "center_momentum=1.0 must be at least 0 and below 1"),
        ({"freeze_last_layer": -1}, "freeze_last_layer=-1 must be a whole number of at least 0"),
        ({"freeze_last_layer": float("nan")}, "freeze_last_layer=nan must be a whole number"),
        ({"teacher_momentum": 1.1}, "teacher_momentum=1.1 must be between 0 and 1"),
    ],
)
def test_bad_options_get_one_clear_sentence(options: Any, message: str, tiny: Make) -> None:
    with pytest.raises(ValueError, match=message):
        tiny(DINO, **{**SMALL, **options})
