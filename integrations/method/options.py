"""The keyword arguments of every method, for the type checker."""

from collections.abc import Mapping
from typing import Any

from typing_extensions import TypedDict

from df_heads.integrations.choices import Optimizer, Stem


class MethodOptions(TypedDict, total=False):
    """What a subclass of Method takes as ``**options: Unpack[MethodOptions]`` and passes on.

    Their texts and defaults are those of Method.
    """

    stem: Stem
    image_size: int
    pretrained: bool
    optimizer: Optimizer
    learning_rate: float
    momentum: float
    weight_decay: float
    warmup_fraction: float
    gradient_clip: float | None
    head_options: Mapping[str, Any] | None
