from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from df_heads.integrations.vicreg import VICReg

Make = Callable[..., Any]


def plain_loss(z: Tensor, other: Tensor) -> Tensor:
    """Equations 1 to 6, with loops."""
    n, d = z.shape
    invariance = torch.stack([(a - b).square().sum() for a, b in zip(z, other, strict=True)])
    total = 25 * invariance.sum() / (n * d)  # the mean over the dimensions, as in the code
    for one in (z, other):
        centred = one - one.mean(dim=0)
        covariance = centred.T @ centred / (n - 1)
        for i in range(d):
            deviation = (covariance[i, i] + 1e-4).sqrt()
            total = total + 25 / 2 * torch.clamp(1 - deviation, min=0) / d
            total = total + sum(covariance[i, j] ** 2 for j in range(d) if j != i) / d
    return total


@pytest.mark.parametrize("mode", ["separate", "joint"])
def test_the_loss_is_equation_6_over_the_named_sequences(
    mode: Any, tiny: Make, views: list[Tensor]
) -> None:
    model = tiny(VICReg, views=mode)
    f0, f1 = (model.backbone(view).flatten(1) for view in views)
    if mode == "separate":
        z0, z1 = model.projection_head(f0), model.projection_head(f1)
    else:
        z0, z1 = model.projection_head(torch.cat([f0, f1])).chunk(2)
    torch.testing.assert_close(model.loss(views), plain_loss(z0, z1))


def test_the_weights_are_those_given(tiny: Make, views: list[Tensor]) -> None:
    alone = [{"lambda_param": 0.0}, {"mu_param": 0.0}, {"nu_param": 0.0}]
    without = [tiny(VICReg, **option).loss(views) for option in alone]
    whole = tiny(VICReg).loss(views)
    # Each of the three terms is left out once.
    torch.testing.assert_close(sum(without), 2 * whole)
    assert all(0 < part < whole for part in without)


def test_a_named_head_is_as_wide_as_the_loss_wants() -> None:
    for head in ("transformer-stable", "feedforward"):
        model = VICReg("test_resnet", head, image_size=16)
        assert model.projection_head.output_dim == 2048
    options = {"output_dim": 24, "num_layers": 1}
    narrow = VICReg("test_resnet", image_size=16, head_options=options)
    assert narrow.projection_head.output_dim == 24
    assert narrow.hparams["head_options"] == options


def test_the_loss_of_a_collapse(tiny: Make) -> None:
    same = torch.ones(8, 4)
    for options in ({}, {"mu_param": 3.0}):
        found = VICReg.collapsed_loss(None, options)
        assert found is not None
        expected = tiny(VICReg, **options).criterion(same, same)
        assert found[0] == pytest.approx(float(expected), rel=1e-5)


def test_training_lowers_the_loss(
    tiny: Make, quick_trainer: Make, loader: Make, views: list[Tensor]
) -> None:
    model = tiny(VICReg, learning_rate=0.05)
    before = model.loss(views).item()
    trainer = quick_trainer(max_epochs=10)
    trainer.fit(model, loader())
    assert float(trainer.callback_metrics["train_loss"]) < 0.8 * before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lambda_param": -1.0}, "lambda_param=-1.0 must be at least 0"),
        ({"mu_param": float("nan")}, "mu_param=nan must be at least 0 and finite"),
        ({"nu_param": float("inf")}, "nu_param=inf must be at least 0 and finite"),
        ({"views": "both"}, "views='both' is not known"),
    ],
)
def test_bad_options_get_one_clear_sentence(options: Any, message: str, tiny: Make) -> None:
    with pytest.raises(ValueError, match=message):
        tiny(VICReg, **options)


def test_a_batch_of_1_gets_one_clear_sentence(tiny: Make) -> None:
    with pytest.raises(ValueError, match="holds 1 image; the variance over the batch needs"):
        tiny(VICReg).training_step(([torch.ones(1, 3, 16, 16)] * 2, 0), 0)
