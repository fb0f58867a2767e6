"""Measures of Deep Fusion on attention maps (..., N, N): one number per layer and head.

Maps are what ``record_attention`` gives: row i is how much token i attends to each token.
Leading dimensions (sequences, heads, stacked layers) are kept. Rows that attend to nothing are
left out of means. Maps are taken as one sequence; cut those of a head with ``sequence_length``
into the blocks on the diagonal first.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from df_heads._labelled import check_labels
from df_heads.fusion._classes import class_index


class SameClassMass(NamedTuple):
    """Where the attention goes, averaged over tokens; tensors have the maps' leading dimensions.

    Attributes:
        others: Of the attention that goes neither to oneself nor to the positive pair, the share
            on the same class. NaN where no token gives any (``attention="self"``).
        own: The share of all attention that a token gives to itself.
        pair: The share of all attention on the token's positive pair; None without pairs.
        chance: What ``others`` is when the attention is uniform.
    """

    others: Tensor
    own: Tensor
    pair: Tensor | None
    chance: float


@torch.no_grad()
def same_class_mass(
    attention: Tensor, labels: Tensor, pairs: Tensor | None = None
) -> SameClassMass:
    """How much tokens attend to other tokens of their class, told apart from themselves.

    Attention to oneself is not fusion, and attention to the other view of one's own image needs
    no knowledge of classes. ``others`` leaves both out and is renormalised over what remains,
    token by token, so that it compares with ``chance``; a token with nothing left is left out.

    Args:
        attention: (..., N, N), at least 0. Rows are normalised to sum to 1.
        labels: (N,), integers.
        pairs: (N,), the index of each token's other view, for two views in one sequence.

    Raises:
        TypeError: If an argument is not a tensor.
        ValueError: If the maps are not square, finite and at least 0, labels or pairs do not fit
            them, there are fewer than two classes, or a class has no third token (second without
            pairs) to attend to.
    """
    attention = _row_shares(attention)
    index = class_index(labels, attention, name="attention", at_least=2 if pairs is None else 3)
    rows = torch.arange(len(index), device=index.device)
    left_out = [rows]
    if pairs is not None:
        left_out.append(_check_pairs(pairs, index))
    one_hot = F.one_hot(index).to(attention.dtype)

    def on_same_class(weights: Tensor) -> Tensor:
        weights = weights.clone()
        for columns in left_out:
            weights[..., rows, columns] = 0
        by_class = weights @ one_hot
        same = by_class[..., rows, index]
        return (same / by_class.sum(-1)).nanmean(-1)

    on_left_out = [attention[..., rows, columns].nanmean(-1) for columns in left_out]
    return SameClassMass(
        others=on_same_class(attention),
        own=on_left_out[0],
        pair=None if pairs is None else on_left_out[1],
        chance=float(on_same_class(one_hot.new_ones(len(index), len(index)))),
    )


@torch.no_grad()
def sharpness(
    attention: Tensor,
    labels: Tensor,
    quantile: float | None = None,
    *,
    include_self: bool = False,
) -> Tensor:
    """Definition 2: the least attention within a class over the most across classes.

    Infinite on an ideal block matrix, 1 on a constant one. One pair decides either end, so with
    many tokens read the quantile form beside it. Where nothing across classes is above 0 the
    ratio is taken over 0: inf, or NaN if the least within a class is 0 too. Entries may be
    negative, as those of Theorem 1 can.

    Args:
        attention: (..., N, N).
        labels: (N,), integers.
        quantile: None for Definition 2 as printed; q (such as 0.05) for the q-quantile within
            classes over the (1 - q)-quantile across, interpolated linearly. 0 is as None.
        include_self: Count a token with itself as a pair of its class. The definition says "two
            points within the same cluster" and leaves i = j open; it matters only where a
            token's own weight is the least.

    Returns:
        The leading dimensions of attention.

    Raises:
        TypeError: If an argument is not a tensor.
        ValueError: If the maps are not square and finite, labels do not fit them, there are
            fewer than two classes, a class has one sample (unless ``include_self``), or quantile
            is outside [0, 0.5].
    """
    if quantile is not None and not 0.0 <= quantile <= 0.5:
        raise ValueError(f"quantile={quantile!r} must be from 0 to 0.5; 0.05 is a usual choice.")
    attention = _check_maps(attention)
    index = class_index(labels, attention, name="attention", at_least=1 if include_self else 2)
    same = index[:, None] == index
    within = same if include_self else same.clone().fill_diagonal_(False)
    lowest = _quantile(attention[..., within], quantile or 0.0)
    highest = _quantile(attention[..., ~same], 1.0 - (quantile or 0.0))
    return lowest / highest.where(highest > 0, 0.0)


@torch.no_grad()
def attention_entropy(attention: Tensor) -> Tensor:
    """Mean entropy of the rows, in nats: 0 on one token each, ln N when uniform over N.

    Its ``exp()`` is the perplexity: over how many tokens the attention spreads (the geometric
    mean over rows).

    Args:
        attention: (..., N, N), at least 0. Rows are normalised to sum to 1.

    Returns:
        The leading dimensions of attention.

    Raises:
        TypeError: If attention is not a tensor.
        ValueError: If the maps are not square, finite and at least 0.
    """
    entropy: Tensor = torch.special.entr(_row_shares(attention)).sum(-1)
    return entropy.nanmean(-1)


def _check_maps(attention: Tensor) -> Tensor:
    """Return the maps in at least float32, or raise the error that says what is wrong."""
    if not isinstance(attention, Tensor):
        raise TypeError(
            f"attention must be a torch.Tensor, got {type(attention).__name__}; pass one layer "
            "of record_attention, such as maps[0]."
        )
    shape = tuple(attention.shape)
    if attention.ndim < 2 or shape[-1] != shape[-2] or not attention.is_floating_point():
        raise ValueError(
            f"attention is {attention.dtype} of shape {shape}; it must be floating point of "
            "shape (..., N, N), such as maps[0] of record_attention."
        )
    broken = int((~attention.isfinite()).sum())
    if broken:
        raise ValueError(
            f"attention holds {broken} values that are not finite but must hold none; check the "
            "head for divergence."
        )
    return attention.detach().to(torch.promote_types(attention.dtype, torch.float32))


def _row_shares(attention: Tensor) -> Tensor:
    """The maps with rows that sum to 1; NaN in the rows that attend to nothing."""
    attention = _check_maps(attention)
    lowest = float(attention.min()) if attention.numel() else 0.0
    if not lowest >= 0:
        raise ValueError(
            f"attention holds {lowest:.3g} but shares must be at least 0; pass weights after the "
            "softmax."
        )
    return attention / attention.sum(-1, keepdim=True)


def _check_pairs(pairs: Tensor, index: Tensor) -> Tensor:
    pairs = check_labels(pairs, "pairs").to(index.device)
    rows = torch.arange(len(index), device=index.device)
    if len(pairs) != len(index) or not bool(((pairs >= 0) & (pairs < len(index))).all()):
        raise ValueError(
            f"pairs has {len(pairs)} entries, for {len(index)} tokens; it must hold for each the "
            f"index of its other view, 0 to {len(index) - 1}."
        )
    wrong = int(((pairs == rows) | (index[pairs] != index)).sum())
    if wrong:
        raise ValueError(
            f"pairs joins {wrong} tokens with themselves or with another class but must join "
            "none; pass for each token the index of its other view."
        )
    return pairs


def _quantile(values: Tensor, q: float) -> Tensor:
    # torch.quantile refuses more than 2**24 values, the pairs of 4096 tokens.
    position = q * (values.shape[-1] - 1)
    below = int(position)
    low = values.kthvalue(below + 1, dim=-1).values
    if below == position:
        return low
    return low.lerp(values.kthvalue(below + 2, dim=-1).values, position - below)
