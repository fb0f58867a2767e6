"""Heads by name; importing this imports no torch, building a head does."""

import difflib
import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

DEFAULT_SIZE = "small"
#: The head of a method that was asked for none.
DEFAULT_HEAD = "transformer-stable"


@dataclass(frozen=True)
class HeadPreset:
    """How a head is built: its class, one of the paper's two sizes, and what differs from them.

    Attributes:
        head_class: Name of a class in df_heads.heads.
        size: "small" or "large", the class's own presets.
        options: Keyword arguments of the class that win over its preset's.
    """

    head_class: str
    size: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, input_dim: int, **options: Any) -> "nn.Module":
        """Build the head; `options` win over the preset's."""
        head_class = getattr(import_module("df_heads.heads"), self.head_class)
        head: nn.Module = getattr(head_class, self.size)(input_dim, **{**self.options, **options})
        return head


_FEEDFORWARD, _TRANSFORMER = "FeedForwardProjectionHead", "TransformerProjectionHead"
# Family -> class and options.
_FAMILIES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "feedforward": (_FEEDFORWARD, {}),
    "transformer": (_TRANSFORMER, {}),
    "transformer-self": (_TRANSFORMER, {"attention": "self"}),
    "transformer-uniform": (_TRANSFORMER, {"attention": "uniform"}),
    "transformer-tied": (_TRANSFORMER, {"attention": "tied"}),
    "transformer-stable": (_TRANSFORMER, {"form": "stable"}),
    "transformer-stable-self": (_TRANSFORMER, {"form": "stable", "attention": "self"}),
    "transformer-stable-uniform": (_TRANSFORMER, {"form": "stable", "attention": "uniform"}),
    "transformer-stable-tied": (_TRANSFORMER, {"form": "stable", "attention": "tied"}),
}

#: Name -> function of the feature width, and options that win over the preset's, that builds the
#: head. The names are "<family>-<size>"; a family alone means its small one. "transformer" and
#: its controls are in the paper's form, which the tables measure; "transformer-stable" and its
#: controls in the stable form, the one to train with.
HEAD_PRESETS: Mapping[str, HeadPreset] = {
    f"{family}-{size}": HeadPreset(head_class, size, options)
    for family, (head_class, options) in _FAMILIES.items()
    for size in ("small", "large")
}


def build_head(name: str, input_dim: int, **options: Any) -> "nn.Module":
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
        TypeError: If name is no string.
        ValueError: If there is no such preset, or the head does not take an option or its value.
    """
    if not isinstance(name, str):
        raise TypeError(f"name={name!r} must be the name of a head, not {type(name).__name__}.")
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


def create_head(name: str, backbone: "int | nn.Module", **options: Any) -> "nn.Module":
    """Build a head in timm's manner: by a name of list_heads, for a backbone of timm's.

    >>> create_head("transformer_stable_small", 512, num_layers=3).num_layers
    3

    Args:
        name: As in build_head, with underscores for hyphens.
        backbone: A timm model, whose num_features says the width, or that width.
        options: Keyword arguments of the head's class; they win over the preset's.

    Raises:
        TypeError: If name is no string, or the backbone has no num_features.
        ValueError: If there is no such head, or it does not take an option or its value.
    """
    width = backbone if isinstance(backbone, int) else getattr(backbone, "num_features", None)
    if not isinstance(width, int):
        raise TypeError(
            f"A {type(backbone).__name__} does not say its width as num_features, as timm's models "
            "do; give the width of its features, such as 512."
        )
    return build_head(name.replace("_", "-") if isinstance(name, str) else name, width, **options)


def list_heads(wildcard: str = "*") -> list[str]:
    """The names of the heads in timm's manner, sorted.

    >>> list_heads("*stable_s*")
    ['transformer_stable_self_large', 'transformer_stable_self_small', 'transformer_stable_small']

    Args:
        wildcard: As in timm.list_models, such as "transformer*".
    """
    names = sorted(name.replace("-", "_") for name in HEAD_PRESETS)
    return fnmatch.filter(names, wildcard)
