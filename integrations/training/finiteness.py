"""Training stops where a loss or a weight is not finite any more."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

#: On a GPU reading a number waits for the device, so it is done now and then.
STEPS_BETWEEN_LOOKS = 50


class NotFiniteError(RuntimeError):
    """A loss or weights that are not finite: nothing that follows would be."""


def check_finite_loss(loss: Any, batch: Any, where: str, learning_rate: float) -> None:
    """Check the loss of a step.

    Args:
        loss: A scalar.
        batch: What the step was made from, to tell bad images from a bad step.
        where: The step, as part of a sentence.
        learning_rate: The one to lower.

    Raises:
        NotFiniteError: If the loss is not finite.
    """
    value = float(loss)
    if value - value == 0:  # NaN and infinities are not
        return
    bad = sum(int((~view.isfinite()).sum()) for view in _tensors(batch))
    if bad:
        raise NotFiniteError(
            f"The loss became {value} in {where}: the images of its batch hold {bad} values that "
            "are not finite; mend the data set or its transform."
        )
    raise NotFiniteError(
        f"The loss became {value} in {where}; lower learning_rate={learning_rate:g}, clip the "
        "gradient or raise warmup_fraction."
    )


@torch.no_grad()
def check_finite_weights(modules: Iterable[nn.Module], where: str, learning_rate: float) -> None:
    """Check the parameters and buffers of modules, reading one number back.

    Raises:
        NotFiniteError: If one is not finite.
    """
    tensors = [
        (name, tensor)
        for module in modules
        for name, tensor in (*module.named_parameters(), *module.named_buffers())
        if tensor.is_floating_point()
    ]
    # 0 * x is 0 for every finite x, and NaN otherwise: no overflow, unlike a norm.
    broken = [(0 * tensor.detach().float()).sum() for _, tensor in tensors]
    if not broken or bool(torch.stack(broken).sum() == 0):
        return
    names = [name for (name, tensor) in tensors if not bool(tensor.isfinite().all())]
    raise NotFiniteError(
        f"{len(names)} of {len(tensors)} weights, such as {names[0]}, are not finite after "
        f"{where}; lower learning_rate={learning_rate:g}, clip the gradient or raise "
        "warmup_fraction."
    )


def _tensors(batch: Any) -> list[Tensor]:
    """The floating point tensors of nested lists, images first."""
    if isinstance(batch, Tensor):
        return [batch] if batch.is_floating_point() else []
    if isinstance(batch, Sequence) and not isinstance(batch, str):
        return [tensor for part in batch for tensor in _tensors(part)]
    return []
