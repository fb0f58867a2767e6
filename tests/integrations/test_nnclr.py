from collections.abc import Callable
from typing import Any

import pytest
import torch
from lightly.models.modules.nn_memory_bank import NNMemoryBankModule
from torch import Tensor

from df_heads.integrations.nnclr import NNCLR

Make = Callable[..., Any]


def unit(x: Tensor) -> Tensor:
    return x / x.norm(dim=1, keepdim=True)


def plain_loss(neighbors: Tensor, predictions: Tensor, temperature: float) -> Tensor:
    """Equation 3 of one direction, one image at a time."""
    losses = []
    for i, neighbor in enumerate(unit(neighbors)):
        scores = torch.stack([neighbor @ p for p in unit(predictions)]) / temperature
        losses.append(torch.logsumexp(scores, 0) - scores[i])
    return torch.stack(losses).mean()


def test_neighbors_are_those_of_lightlys_memory_bank(tiny: Make) -> None:
    model = tiny(NNCLR, queue_size=40)
    bank = NNMemoryBankModule(size=(40, 8))
    bank.bank = model.queue.keys.clone()
    z = torch.randn(6, 8)
    torch.testing.assert_close(model.neighbors(z), bank(z, update=False))


@pytest.mark.parametrize("mode", ["separate", "joint"])
def test_the_loss_is_algorithm_1_and_leaves_the_support_set(
    mode: Any, tiny: Make, views: list[Tensor]
) -> None:
    model = tiny(NNCLR, views=mode, queue_size=40, temperature=0.3, prediction_hidden_dim=6)
    f0, f1 = (model.backbone(view).flatten(1) for view in views)
    if mode == "separate":
        z0, z1 = model.projection_head(f0), model.projection_head(f1)
        p0, p1 = model.prediction_head(z0), model.prediction_head(z1)
    else:
        z = model.projection_head(torch.cat([f0, f1]))
        (z0, z1), (p0, p1) = z.chunk(2), model.prediction_head(z).chunk(2)
    support = model.queue.keys.clone()
    n0, n1 = (support[(unit(z) @ support.T).argmax(dim=1)] for z in (z0, z1))
    expected = plain_loss(n0, p1, 0.3) / 2 + plain_loss(n1, p0, 0.3) / 2
    torch.testing.assert_close(model.loss(views), expected)
    assert torch.equal(model.queue.keys, support)
    model.enqueue_projections()
    torch.testing.assert_close(model.queue.keys[:16], unit(z0))
    assert torch.equal(model.queue.keys[16:], support[16:])


def test_projections_of_every_batch_enter_the_support_set(
    tiny: Make, quick_trainer: Make, loader: Make
) -> None:
    model = tiny(NNCLR, queue_size=40)
    quick_trainer(max_epochs=1).fit(model, loader())
    assert model.queue.pointer == 4 * 16 % 40


def test_the_defaults() -> None:
    model = NNCLR("test_resnet", image_size=16)
    assert model.projection_head.output_dim == 256
    assert (model.temperature, len(model.queue.keys)) == (0.1, 4096)
    shapes = [tuple(p.shape) for p in model.prediction_head.parameters() if p.dim() == 2]
    assert shapes == [(4096, 256), (256, 4096)]


def test_training_lowers_the_loss(
    tiny: Make, quick_trainer: Make, loader: Make, views: list[Tensor]
) -> None:
    model = tiny(NNCLR, queue_size=64, learning_rate=0.05)
    before = model.loss(views).item()
    trainer = quick_trainer(max_epochs=10)
    trainer.fit(model, loader())
    assert float(trainer.callback_metrics["train_loss"]) < before - 0.5


def test_a_support_set_smaller_than_a_step_gets_one_clear_sentence(
    tiny: Make, views: list[Tensor]
) -> None:
    with pytest.raises(ValueError, match="queue_size=15 cannot hold the 16 projections of one"):
        tiny(NNCLR, queue_size=15).training_step((views, 0), 0)
    with pytest.raises(ValueError, match="queue_size=16 .* 32 projections"):
        tiny(NNCLR, queue_size=16).check_batch_size(16, processes=2)
    tiny(NNCLR, queue_size=16).check_batch_size(16)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"queue_size": 1}, "queue_size=1 must be a whole number of at least 2, the projections"),
        ({"queue_size": float("nan")}, "queue_size=nan must be a whole number"),
        ({"temperature": float("nan")}, "temperature=nan must be above 0 and finite"),
        ({"prediction_hidden_dim": 0}, "prediction_hidden_dim=0 must be a whole number of at"),
    ],
)
def test_bad_options_get_one_clear_sentence(options: Any, message: str, tiny: Make) -> None:
    with pytest.raises(ValueError, match=message):
        tiny(NNCLR, **options)
