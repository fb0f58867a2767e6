"""Heads by name."""

import difflib
from collections.abc import Callable, Mapping
from functools import partial

from torch import nn

from df_heads.heads import FeedForwardProjectionHead, TransformerProjectionHead

DEFAULT_SIZE = "small"

#: Name -> function of the feature width that builds the head. The names are
#: "<family>-<size>"; a family alone means its small one.
HEAD_PRESETS: Mapping[str, Callable[[int], nn.Module]] = {
    "feedforward-small": FeedForwardProjectionHead.small,
    "feedforward-large": FeedForwardProjectionHead.large,
    "transformer-small": TransformerProjectionHead.small,
    "transformer-large": TransformerProjectionHead.large,
    "transformer-self-small": partial(TransformerProjectionHead.small, attention="self"),
    "transformer-self-large": partial(TransformerProjectionHead.large, attention="self"),
    "transformer-uniform-small": partial(TransformerProjectionHead.small, attention="uniform"),
    "transformer-uniform-large": partial(TransformerProjectionHead.large, attention="uniform"),
    "transformer-tied-small": partial(TransformerProjectionHead.small, attention="tied"),
    "transformer-tied-large": partial(TransformerProjectionHead.large, attention="tied"),
}


def build_head(name: str, input_dim: int) -> nn.Module:
    """Build a head of HEAD_PRESETS.

    >>> build_head("transformer-large", input_dim=512).hidden_dim
    256

    Args:
        name: A preset such as "transformer-small", or a family such as "transformer".
        input_dim: Width of the backbone's features.

    Raises:
        ValueError: If there is no such preset.
    """
    preset = HEAD_PRESETS.get(name) or HEAD_PRESETS.get(f"{name}-{DEFAULT_SIZE}")
    if preset is None:
        near = difflib.get_close_matches(name, HEAD_PRESETS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(
            f"There is no head {name!r}.{hint} The heads are: {', '.join(HEAD_PRESETS)}."
        )
    return preset(input_dim)
