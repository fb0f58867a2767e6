from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from df_heads.integrations.barlowtwins import BarlowTwins

Make = Callable[..., Any]


def plain_loss(z: Tensor, other: Tensor, weight: float) -> Tensor:
    """Equations 1 and 2, one pair of dimensions at a time; BatchNorm's epsilon in the variance."""

    def standardised(x: Tensor) -> Tensor:
        return (x - x.mean(dim=0)) / (x.var(dim=0, correction=0) + 1e-5).sqrt()

    total = torch.zeros(())
    for i, a in enumerate(standardised(z).T):
        for j, b in enumerate(standardised(other).T):
            correlation = (a * b).mean()
            total = total + ((1 - correlation) ** 2 if i == j else weight * correlation**2)
    return total


@pytest.mark.parametrize("mode", ["separate", "joint"])
@pytest.mark.parametrize("weight", [5e-3, 0.5])
def test_the_loss_is_equation_1_over_the_named_sequences(
    weight: float, mode: Any, tiny: Make, views: list[Tensor]
) -> None:
    options = {} if weight == 5e-3 else {"lambda_param": weight}  # the default is the paper's
    model = tiny(BarlowTwins, views=mode, **options)
    f0, f1 = (model.backbone(view).flatten(1) for view in views)
    if mode == "separate":
        z0, z1 = model.projection_head(f0), model.projection_head(f1)
    else:
        z0, z1 = model.projection_head(torch.cat([f0, f1])).chunk(2)
    torch.testing.assert_close(model.loss(views), plain_loss(z0, z1, weight))


def test_a_named_head_is_as_wide_as_the_loss_wants() -> None:
    for head in ("transformer-stable", "feedforward"):
        model = BarlowTwins("test_resnet", head, image_size=16)
        assert model.projection_head.output_dim == 2048
    narrow = BarlowTwins("test_resnet", image_size=16, head_options={"output_dim": 24})
    assert narrow.projection_head.output_dim == 24


def test_training_lowers_the_loss(
    tiny: Make, quick_trainer: Make, loader: Make, views: list[Tensor]
) -> None:
    model = tiny(BarlowTwins, learning_rate=0.05)
    before = model.loss(views).item()
    trainer = quick_trainer(max_epochs=10)
    trainer.fit(model, loader())
    assert float(trainer.callback_metrics["train_loss"]) < 0.8 * before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lambda_param": -1.0}, "lambda_param=-1.0 must be at least 0"),
        ({"lambda_param": float("nan")}, "lambda_param=nan must be at least 0 and finite"),
        ({"views": "both"}, "views='both' is not known"),
    ],
)
def test_bad_options_get_one_clear_sentence(options: Any, message: str, tiny: Make) -> None:
    with pytest.raises(ValueError, match=message):
        tiny(BarlowTwins, **options)


def test_a_batch_of_1_gets_one_clear_sentence(tiny: Make) -> None:
    with pytest.raises(ValueError, match="holds 1 image; the correlation over the batch needs"):
        tiny(BarlowTwins).training_step(([torch.ones(1, 3, 16, 16)] * 2, 0), 0)
