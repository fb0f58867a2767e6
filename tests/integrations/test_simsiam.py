from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from df_heads.integrations.simsiam import SimSiam

Make = Callable[..., Any]


def negative_cosine(p: Tensor, z: Tensor) -> Tensor:
    """Equation 1, one image at a time."""
    pairs = zip(p, z, strict=True)
    return -torch.stack([(a @ b) / (a.norm() * b.norm()) for a, b in pairs]).mean()


@pytest.mark.parametrize("mode", ["separate", "joint"])
def test_the_loss_is_equation_2_with_a_stopped_gradient(
    mode: Any, tiny: Make, views: list[Tensor]
) -> None:
    model = tiny(SimSiam, views=mode, prediction_hidden_dim=6)
    f0, f1 = (model.backbone(view).flatten(1) for view in views)
    if mode == "separate":
        z0, z1 = model.projection_head(f0), model.projection_head(f1)
        p0, p1 = model.prediction_head(z0), model.prediction_head(z1)
    else:
        z = model.projection_head(torch.cat([f0, f1]))
        (z0, z1), (p0, p1) = z.chunk(2), model.prediction_head(z).chunk(2)
    expected = negative_cosine(p0, z1.detach()) / 2 + negative_cosine(p1, z0.detach()) / 2
    loss = model.loss(views)
    torch.testing.assert_close(loss, expected)
    parameters = list(model.parameters())
    ours, theirs = (torch.autograd.grad(value, parameters) for value in (loss, expected))
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-6, rtol=1e-4)
    assert max(gradient.abs().max() for gradient in theirs) > 1e-3


def test_the_defaults_are_the_papers() -> None:
    model = SimSiam("test_resnet", image_size=16)
    assert model.projection_head.output_dim == 2048
    shapes = [tuple(p.shape) for p in model.prediction_head.parameters() if p.dim() == 2]
    assert shapes == [(512, 2048), (2048, 512)]


def test_the_prediction_head_is_trained(tiny: Make, quick_trainer: Make, loader: Make) -> None:
    model = tiny(SimSiam, learning_rate=0.05)
    before = [p.detach().clone() for p in model.prediction_head.parameters()]
    trainer = quick_trainer(max_epochs=5)
    trainer.fit(model, loader())
    pairs = zip(before, model.prediction_head.parameters(), strict=True)
    assert all(not torch.equal(old, new) for old, new in pairs)
    assert float(trainer.callback_metrics["train_loss"]) < -0.5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prediction_hidden_dim": 0}, "prediction_hidden_dim=0 must be a whole number of at"),
        ({"views": "both"}, "views='both' is not known"),
    ],
)
def test_bad_options_get_one_clear_sentence(options: Any, message: str, tiny: Make) -> None:
    with pytest.raises(ValueError, match=message):
        tiny(SimSiam, **options)


def test_a_batch_of_1_gets_one_clear_sentence(tiny: Make) -> None:
    with pytest.raises(ValueError, match="holds 1 image; the BatchNorm of SimSiam's prediction"):
        tiny(SimSiam).training_step(([torch.ones(1, 3, 16, 16)] * 2, 0), 0)
