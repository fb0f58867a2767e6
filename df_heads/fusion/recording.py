"""Recording the attention weights of any model that holds a Transformer projection head."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from df_heads.attention import BatchAttention
from df_heads.gathering import GatheredTokens


class AttentionMaps(dict[int, Tensor]):
    """Attention weights (S, heads, N, N) by layer index; filled by ``record_attention``.

    A dict: keys are the layers' indices, counted from 0 among all layers of the model, and it is
    iterated in that order, whichever layer ran first. ``maps[-1]`` is the last layer recorded,
    ``maps[-2]`` the one before it: also where only some layers were recorded. Negative numbers
    are no keys: ``-1 in maps`` is False.
    """

    def __setitem__(self, layer: int, weights: Tensor) -> None:
        later = [other for other in self if other > layer]
        super().__setitem__(layer, weights)
        for other in later:
            super().__setitem__(other, self.pop(other))

    def __missing__(self, layer: int) -> Tensor:
        if -len(self) <= layer < 0:
            return self[list(self)[layer]]
        raise KeyError(
            f"layer {layer} was not recorded; choose it in layers, and call what runs the head "
            "inside the context (of a compiled model, the module it was compiled from)."
        )


@contextmanager
def record_attention(
    head: nn.Module,
    *,
    layers: Iterable[int] | None = None,
    heads: Iterable[int] | None = None,
    device: torch.device | str = "cpu",
    max_gib: float = 4.0,
) -> Iterator[AttentionMaps]:
    """Record the attention weights of each forward pass inside the context.

    >>> from df_heads import TransformerProjectionHead
    >>> head = TransformerProjectionHead.small(input_dim=512)
    >>> with record_attention(head) as maps:
    ...     z = head(torch.randn(2, 32, 512))
    >>> maps[0].shape  # the first layer: (sequences, heads, tokens, tokens)
    torch.Size([2, 8, 32, 32])
    >>> maps[-1] is maps[4]  # the last
    True

    They are the weights that the fused kernel uses and never stores: computed beside the
    forward pass from the same queries and keys (before dropout), and without effect on its
    output, on gradients, on random numbers or on training flags. No hook outlives the context;
    the maps do. The last forward pass inside the context is the one that is kept, so record the
    two views of SimCLR in two contexts, or stacked to (2, N, D).

    Args:
        head: A TransformerProjectionHead, or any model with one inside. Call whatever runs the
            head; the forward of a LightningModule often returns backbone features only.
        layers: Which of all the BatchAttention layers in ``head``, counted from 0 in module
            order; None for all.
        heads: Which heads of each layer, counted from 0, in this order; None for all.
        device: Where the maps are kept. Each layer is moved before the next one runs, so the
            model's own device never holds more than one.
        max_gib: The most the maps of one forward pass may take, in GiB. While a layer is
            computed its own share is needed once more.

    Yields:
        Layer index to weights (S, heads, N, N), float32 (float64 for a float64 model). Rows sum
        to 1; the row of a token that may attend to nothing is 0. With ``sequence_length`` the
        weights are 0 outside the blocks on the diagonal. A head that attends to the M tokens of
        all processes (``gather_distributed=True``, "self" excepted) gives (S, heads, N, M), the
        rows of this process's tokens; one process may record without the others.

    Raises:
        ValueError: If ``head`` has no attention layers, a layer or head does not exist, or (from
            the forward pass) the maps would take more than ``max_gib``.
    """
    found = [module for module in head.modules() if isinstance(module, BatchAttention)]
    if not found:
        raise ValueError(
            f"{type(head).__name__} has 0 attention layers but at least 1 is needed; pass a "
            "TransformerProjectionHead or a model that holds one."
        )
    number = {found[layer]: layer for layer in _chosen(layers, len(found), "layers")}
    wanted = None if heads is None else list(heads)
    heads_of = {layer: _chosen(wanted, layer.num_heads, "heads") for layer in number}
    num_maps = sum(map(len, heads_of.values()))
    maps = AttentionMaps()

    def keep(
        layer: BatchAttention, args: tuple[Any, ...], kwargs: dict[str, Any], _output: Tensor
    ) -> None:
        record(layer, *args, **kwargs)

    def record(
        layer: BatchAttention,
        x: Tensor,
        attn_mask: Tensor | None = None,
        gathered: GatheredTokens | None = None,
    ) -> None:
        _check_size(x, gathered, num_maps, max_gib)
        weights = layer.attention_weights(x, attn_mask, gathered, heads=heads_of[layer])
        maps[number[layer]] = weights.to(device)

    handles = [layer.register_forward_hook(keep, with_kwargs=True) for layer in number]
    try:
        yield maps
    finally:
        for handle in handles:
            handle.remove()


def _chosen(indices: Iterable[int] | None, available: int, name: str) -> list[int]:
    if indices is None:
        return list(range(available))
    chosen = list(indices)
    if not chosen or any(index not in range(available) for index in chosen):
        raise ValueError(
            f"{name}={chosen} must name one or more of the {available} there are, 0 to "
            f"{available - 1}; pass None for all."
        )
    return chosen


def _check_size(x: Tensor, gathered: GatheredTokens | None, num_maps: int, max_gib: float) -> None:
    sequences, tokens, _ = x.shape
    keys = tokens if gathered is None else gathered.tokens.shape[-2]
    item = 8 if x.dtype == torch.float64 else 4
    gib = num_maps * sequences * tokens * keys * item / 2**30
    if not gib <= max_gib:  # NaN allows nothing
        over = "" if gathered is None else f", each to {keys} of all processes,"
        raise ValueError(
            f"the explicit attention of {num_maps} heads (all layers together) over "
            f"{sequences} x {tokens} tokens{over} would take {gib:.3g} GiB, more than max_gib="
            f"{max_gib:g}; pass fewer layers or heads, a smaller batch, or a higher max_gib."
        )
