from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from df_heads.fusion import record_attention
from df_heads.integrations.simclr import SimCLR
from df_heads.integrations.supcon import SupCon

Make = Callable[..., Any]


def plain_loss(z: Tensor, labels: list[int], temperature: float) -> Tensor:
    """Equation 2 (the sum over positives outside the logarithm), one pair at a time."""
    z = z / z.norm(dim=1, keepdim=True)
    losses = []
    for i, anchor in enumerate(z):
        others = [k for k in range(len(z)) if k != i]
        scores = {k: anchor @ z[k] / temperature for k in others}
        total = torch.logsumexp(torch.stack(list(scores.values())), 0)
        positives = [scores[k] - total for k in others if labels[k] == labels[i]]
        losses.append(-torch.stack(positives).mean())
    return torch.stack(losses).mean()


@pytest.mark.parametrize("mode", ["separate", "joint"])
def test_the_loss_is_equation_2_over_the_named_sequences(
    mode: Any, tiny: Make, loader: Make
) -> None:
    model = tiny(SupCon, views=mode, temperature=0.3)
    batch = next(iter(loader()))
    f0, f1 = (model.backbone(view).flatten(1) for view in batch[0])
    if mode == "separate":
        z = torch.cat([model.projection_head(f0), model.projection_head(f1)])
    else:
        z = model.projection_head(torch.cat([f0, f1]))
    expected = plain_loss(z, 2 * batch[1].tolist(), 0.3)
    torch.testing.assert_close(model.loss(batch[0], batch[1]), expected)
    torch.testing.assert_close(model.loss_of_batch(batch, batch[0]), expected)


def test_without_two_images_of_a_class_it_is_simclr(tiny: Make, views: list[Tensor]) -> None:
    supervised, plain = (tiny(method, temperature=0.3) for method in (SupCon, SimCLR))
    losses, gradients = [], []
    for model, loss in (
        (supervised, supervised.loss(views, torch.arange(16))),
        # SimCLR's backbone sees both views at once: another BatchNorm.
        (plain, plain.criterion(*plain.project([plain(view) for view in views]))),
    ):
        losses.append(loss)
        gradients.append(torch.autograd.grad(loss, list(model.parameters())))
    torch.testing.assert_close(*losses)
    for mine, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("mode", ["separate", "joint"])
def test_mixing_never_sees_a_label(mode: Any, tiny: Make, loader: Make) -> None:
    """The head gets features and nothing else; labels change the loss and no projection."""
    batch = next(iter(loader()))
    got, losses = [], []
    for labels in (batch[1], batch[1].flip(0), torch.arange(16)):
        model = tiny(SupCon, views=mode)
        seen: list[Any] = []

        def keep(_: Any, args: Any, kwargs: Any, out: Any, seen: list[Any] = seen) -> None:
            seen.append((args, kwargs, out))

        model.projection_head.register_forward_hook(keep, with_kwargs=True)
        with record_attention(model.projection_head) as maps:
            losses.append(model.loss_of_batch((batch[0], labels), batch[0]).item())
        ((args, kwargs, out),) = seen
        assert kwargs == {}
        (features,) = args
        assert features.shape[-1] == 16
        got.append([features, out, *maps.values()])
    for other in got[1:]:
        for mine, theirs in zip(got[0], other, strict=True):
            assert torch.equal(mine, theirs)
    assert len({round(loss, 4) for loss in losses}) > 1


def test_training_lowers_the_loss(tiny: Make, quick_trainer: Make, loader: Make) -> None:
    model = tiny(SupCon, learning_rate=0.05)
    batch = next(iter(loader()))
    before = model.loss(batch[0], batch[1]).item()
    trainer = quick_trainer(max_epochs=10)
    trainer.fit(model, loader())
    assert float(trainer.callback_metrics["train_loss"]) < before - 0.1


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        ((), "NoneType"),
        ((None,), "NoneType"),
        (([0, 1] * 8,), "list"),
        ((torch.arange(15),), "tensor of torch.int64 and shape"),
        ((torch.zeros(16),), "tensor of torch.float32"),
    ],
)
def test_batches_without_labels_get_one_clear_sentence(
    labels: tuple[Any, ...], found: str, tiny: Make, views: list[Tensor]
) -> None:
    with pytest.raises(ValueError, match=f"with 16 integers as labels, not .*{found}"):
        tiny(SupCon).training_step((views, *labels), 0)


def test_a_loss_without_labels_gets_one_clear_sentence(tiny: Make, views: list[Tensor]) -> None:
    with pytest.raises(ValueError, match=r"pass loss\(views, labels\), or use SimCLR"):
        tiny(SupCon).loss(views)


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan")])
def test_bad_options_get_one_clear_sentence(value: float, tiny: Make) -> None:
    with pytest.raises(ValueError, match=f"temperature={value} must be above 0"):
        tiny(SupCon, temperature=value)
