"""The heads of the benchmarks by name: those of df_heads, and lightly's, which users have today."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from lightly.models.modules import SimCLRProjectionHead
from torch import nn

from df_heads import HEAD_PRESETS, build_head

#: Name -> function of the feature width, and options, that builds lightly's head of two linear
#: layers with BatchNorm behind both.
LIGHTLY_HEADS: Mapping[str, Callable[..., nn.Module]] = {
    # As in lightly's CIFAR-10 benchmark, docs/source/getting_started/benchmarks.
    "lightly-small": partial(SimCLRProjectionHead, hidden_dim=512, output_dim=128),
    # As in lightly's example, examples/pytorch_lightning/simclr.py.
    "lightly-large": partial(SimCLRProjectionHead, hidden_dim=2048, output_dim=2048),
}

#: Names of the heads, "<family>-<size>".
HEADS = (*HEAD_PRESETS, *LIGHTLY_HEADS)


def build_named_head(name: str, input_dim: int, **options: Any) -> nn.Module:
    """Build a head of HEADS.

    Args:
        name: Its name.
        input_dim: Width of the backbone's features.
        options: Keyword arguments of the head's class; they win over the preset's.

    Raises:
        ValueError: If there is no such head, or it does not take an option or its value.
    """
    if name not in LIGHTLY_HEADS:
        return build_head(name, input_dim, **options)
    try:
        return LIGHTLY_HEADS[name](input_dim, **options)
    except TypeError as error:
        raise ValueError(
            f"The head {name!r} does not take the options {options} ({error}); leave them out."
        ) from error
