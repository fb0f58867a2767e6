"""What numbers and names of a run can be, said by the flag that gives them."""

import math
import re
from collections.abc import Mapping
from typing import Any

from df_heads.benchmarks.harness.base.errors import InputError

#: Field -> smallest and largest value.
CLOSED: Mapping[str, tuple[float, float]] = {
    "image_size": (8, 4096),
    "batch_size": (2, 2**24),
    "epochs": (0, 10**7),
    "devices": (1, 2**16),
    # numpy takes no larger seeds.
    "seed": (0, 2**32 - 1),
    "weight_decay": (0, 1e6),
    "gaussian_blur": (0, 1),
    "rotation": (0, 180),
    # Beyond 2.5 the hue would turn by more than half a circle.
    "color_jitter": (0, 2.5),
    "imbalance": (1, 1e9),
    "teacher_momentum": (0, 1),
    "train_images": (2, 2**40),
    "num_layers": (1, 1000),
    "num_heads": (1, 2**16),
    "hidden_dim": (1, 2**20),
    "sequence_length": (1, 2**40),
    "queue_size": (4, 2**31),
    "loss_chunk_size": (1, 2**31),
    "streams": (1, 2),
}
#: Field -> the value that it stays above, and the largest one. float32 must hold them.
ABOVE: Mapping[str, tuple[float, float]] = {
    "learning_rate": (0, 1e6),
    "gradient_clip": (0, 1e30),
    "temperature": (0, 1e6),
    "min_scale": (0, 1),
}
#: Field -> smallest value, and the one that it stays below.
BELOW: Mapping[str, tuple[float, float]] = {
    "momentum": (0, 1),
    "warmup_fraction": (0, 1),
    "holdout": (0, 1),
}
#: Fields that become part of file names.
NAMES = ("dataset", "head", "backbone", "method")
_NAME = re.compile(r"\w[\w.:+-]*")


def check_ranges(values: Mapping[str, Any]) -> None:
    """Check the fields of an Experiment; those that are None or missing are not looked at.

    Raises:
        InputError: If one is out of its range, not a number, or not a name.
    """
    for name, value in values.items():
        if value is None:
            continue
        if name in NAMES:
            check_name(name, value)
        elif (said := _range_of(name)) is not None and not _within(name, value):
            raise InputError(f"--{name.replace('_', '-')} {value} must be {said}.")


def check_name(field: str, value: Any) -> None:
    """Check what becomes part of a file name.

    Raises:
        InputError: If it could name a place elsewhere, or nothing.
    """
    if not isinstance(value, str) or _NAME.fullmatch(value) is None:
        raise InputError(
            f"--{field} {value!r} is no name; use letters, digits and any of . _ - + : after them."
        )


def _within(name: str, value: Any) -> bool:
    if not isinstance(value, int | float) or not math.isfinite(value):
        return False
    if name in ABOVE:
        low, high = ABOVE[name]
        return low < value <= high
    if name in BELOW:
        low, high = BELOW[name]
        return low <= value < high
    low, high = CLOSED[name]
    return low <= value <= high


def _range_of(name: str) -> str | None:
    if name in ABOVE:
        return "a number above {:g} and at most {:g}".format(*ABOVE[name])
    if name in BELOW:
        return "a number of at least {:g} and below {:g}".format(*BELOW[name])
    if name in CLOSED:
        low, high = CLOSED[name]
        return f"a number from {low:.10g} to {high:.10g}"
    return None
