"""The options under method_kwargs.head of a solo-learn config."""

import difflib
import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from df_heads import build_head
from df_heads.presets import DEFAULT_HEAD, DEFAULT_SIZE

VIEWS = ("separate", "joint")


def check_head_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Fill in the defaults of method_kwargs.head and refuse what is unknown.

    >>> check_head_options({"num_layers": 3})
    {'name': 'transformer-stable-small', 'views': 'separate', 'num_layers': 3}

    Args:
        given: `name`, a preset of df_heads.HEAD_PRESETS or a family such as "transformer-stable";
            `views`, "separate" (each view of the batch is a sequence of its own) or "joint" (all
            views share one); and keyword arguments of the head's class, which win over the
            preset's.

    Returns:
        A new dict with `name` and `views` filled in.

    Raises:
        ValueError: If an option, the preset or the value of `views` is unknown.
    """
    options = {"name": f"{DEFAULT_HEAD}-{DEFAULT_SIZE}", "views": "separate", **given}
    if options["views"] not in VIEWS:
        raise ValueError(
            f"method_kwargs.head.views={options['views']!r} must be 'separate' or 'joint'."
        )
    known = ["name", "views", *_head_arguments(str(options["name"]))]
    for option in options:
        if option == "output_dim":
            raise ValueError(
                "method_kwargs.head.output_dim is taken from the projector that the head "
                "replaces; set method_kwargs.proj_output_dim instead."
            )
        if option not in known:
            near = difflib.get_close_matches(str(option), known, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ValueError(
                f"method_kwargs.head has no option {option!r}.{hint} The options of "
                f"{options['name']!r} are: {', '.join(known)}."
            )
    return options


def build_projector(options: Mapping[str, Any], input_dim: int, output_dim: int) -> nn.Module:
    """Build the head that checked options describe.

    Raises:
        ValueError: If the head does not take the value of an option.
    """
    arguments = {key: value for key, value in options.items() if key not in ("name", "views")}
    return build_head(options["name"], input_dim, output_dim=output_dim, **arguments)


def _head_arguments(name: str) -> list[str]:
    with torch.device("meta"):  # for its class only: no memory, no random numbers
        head = build_head(name, 1)
    arguments = list(inspect.signature(type(head)).parameters)
    return [name for name in arguments if name not in ("input_dim", "output_dim")]
