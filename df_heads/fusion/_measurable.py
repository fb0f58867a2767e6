"""What measure_fusion asks of a model and a batch, and the sentences in which it asks."""

import math

import torch
from torch import Tensor, nn

from df_heads._finite import check_number
from df_heads.attention import BatchAttention
from df_heads.fusion._classes import class_index
from df_heads.heads import TransformerProjectionHead


class NonFiniteError(ValueError):
    """Tokens or attention weights that are not finite: the model has diverged."""


def find_head(model: nn.Module) -> TransformerProjectionHead:
    """The one head in a model, or the one that trains, or ValueError."""
    if not isinstance(model, nn.Module):
        raise TypeError(
            f"model is a {type(model).__name__}; pass a TransformerProjectionHead, or a module "
            "that holds one."
        )
    heads = [m for m in model.modules() if isinstance(m, TransformerProjectionHead)]
    if len(heads) > 1:
        trained = [head for head in heads if any(p.requires_grad for p in head.parameters())]
        heads = trained or heads
    if len(heads) != 1:
        raise ValueError(
            f"{type(model).__name__} holds {len(heads)} Transformer projection heads to measure "
            "but must hold exactly 1; pass that TransformerProjectionHead itself."
        )
    return heads[0]


def check_batch(
    head: TransformerProjectionHead,
    tokens: Tensor,
    labels: Tensor,
    pairs: Tensor | None,
    max_gib: float,
) -> None:
    """Raise ValueError if the tokens (S, N, D) that enter the first block cannot be measured."""
    sequences, count, _ = tokens.shape
    class_index(labels, tokens, name="x", at_least=2 if pairs is None else 3)
    if head.sequence_length is not None and count > head.sequence_length:
        raise ValueError(
            f"x has {count} samples but sequence_length={head.sequence_length} cuts them into "
            f"sequences that do not see each other; pass {head.sequence_length} samples or fewer."
        )
    num_heads = max(m.num_heads for m in head.modules() if isinstance(m, BatchAttention))
    item = 8 if tokens.dtype == torch.float64 else 4
    check_number(max_gib=max_gib)
    gib = sequences * num_heads * count**2 * item / 2**30
    if not gib <= max_gib:  # NaN allows nothing
        most = int(count * math.sqrt(max(0.0, max_gib) / gib))
        raise ValueError(
            f"the explicit attention of {num_heads} heads over {sequences} x {count} tokens would "
            f"take {gib:.3g} GiB per layer, more than max_gib={max_gib:g}; pass a subset of "
            f"{most} samples or fewer, or a higher max_gib."
        )
    check_finite("the head's input layer", tokens)


def check_finite(name: str, values: Tensor) -> None:
    """Raise NonFiniteError if a value is not finite."""
    broken = int((~values.isfinite()).sum())
    if broken:
        raise NonFiniteError(
            f"{name} holds {broken} values that are not finite but must hold none; check the "
            "model for divergence."
        )
