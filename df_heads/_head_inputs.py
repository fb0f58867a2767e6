"""What a head refuses to project, each with one sentence."""

import torch
from torch import Tensor, nn


def check_features(x: Tensor, input_dim: int, first: nn.Module) -> None:
    """Check features for a head and the first of its layers."""
    if not isinstance(x, Tensor):
        raise TypeError(
            f"x is a {type(x).__name__}; the head takes a tensor: convert it with torch.as_tensor."
        )
    shape = tuple(x.shape)
    if x.dim() not in (2, 3):
        raise ValueError(
            f"x has shape {shape}; the head takes (N, {input_dim}), or (S, N, {input_dim}) for S "
            "sequences. Flatten the features of a convolutional backbone first."
        )
    if x.shape[-1] != input_dim:
        raise ValueError(
            f"x has shape {shape}, but the head was built with input_dim={input_dim}, the width "
            f"of the last axis; build it with input_dim={x.shape[-1]}."
        )
    if x.shape[-2] == 0 or x.shape[0] == 0:
        raise ValueError(f"x has shape {shape}: the batch is empty; the head needs 1 sample.")
    if not x.is_floating_point():
        raise ValueError(f"x is {x.dtype}; the head takes floating point features.")
    if x.layout != torch.strided:
        raise ValueError("x is sparse; the head takes dense features: pass x.to_dense().")
    weight = getattr(first, "weight", None)  # a method in a quantized layer
    if not isinstance(weight, Tensor) or weight.dtype == x.dtype:
        return
    # Autocast converts all but float64.
    if torch.float64 in (x.dtype, weight.dtype) or not torch.is_autocast_enabled(x.device.type):
        raise ValueError(
            f"x is {x.dtype} and the head's weights are {weight.dtype}; pass x.to({weight.dtype}), "
            f"convert the head with head.to({x.dtype}), or use torch.autocast."
        )


def check_mask(attn_mask: Tensor | None, x: Tensor, *, columns: int | None) -> None:
    """Check a mask for x; columns=None leaves their number, but not 0, to the meeting of peers."""
    if attn_mask is None:
        return
    if not isinstance(attn_mask, Tensor):
        raise TypeError(
            f"attn_mask is a {type(attn_mask).__name__}; it must be a tensor of torch.bool."
        )
    sequences, length = x.shape[0] if x.dim() == 3 else 1, x.shape[-2]
    if attn_mask.dtype != torch.bool:
        raise ValueError(
            f"attn_mask is {attn_mask.dtype}; it must be torch.bool, True where a token may attend."
        )
    shape = tuple(attn_mask.shape)
    width = max((1, *shape[-1:])) if columns is None else columns
    if shape not in ((length, width), (sequences, length, width)):
        named = "M" if columns is None else columns
        raise ValueError(
            f"attn_mask has shape {shape}; for {sequences} x {length} tokens it must be ({length}, "
            f"{named}) or ({sequences}, {length}, {named})"
            + (", M the number of tokens of all processes." if columns is None else ".")
        )
