"""Heads by name."""

import difflib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch import nn

from df_heads.heads import FeedForwardProjectionHead, TransformerProjectionHead

DEFAULT_SIZE = "small"

#: Name -> function of the feature width, and options that win over the preset's, that builds the
#: head. The names are "<family>-<size>"; a family alone means its small one.
HEAD_PRESETS: Mapping[str, Callable[..., nn.Module]] = {
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


def build_head(name: str, input_dim: int, **options: Any) -> nn.Module:
    """Build a head of HEAD_PRESETS.

    >>> build_head("transformer-large", input_dim=512).hidden_dim
    256
    >>> len(build_head("transformer", input_dim=512, num_layers=10).blocks)
    10

    Args:
        name: A preset such as "transformer-small", or a family such as "transformer".
        input_dim: Width of the backbone's features.
        options: Keyword arguments of the head's class; they win over the preset's.

    Raises:
        ValueError: If there is no such preset, or the head does not take an option or its value.
    """
    preset = HEAD_PRESETS.get(name) or HEAD_PRESETS.get(f"{name}-{DEFAULT_SIZE}")
    if preset is None:
        near = difflib.get_close_matches(name, HEAD_PRESETS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(
            f"There is no head {name!r}.{hint} The heads are: {', '.join(HEAD_PRESETS)}."
        )
    try:
        return preset(input_dim, **options)
    except TypeError as error:
        raise ValueError(
            f"The head {name!r} does not take the options {options} ({error}); leave out those "
            "that are not arguments of its class."
        ) from error
