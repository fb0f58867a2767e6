"""A FusionSummary as text that fits a terminal."""

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from df_heads.fusion.summary import FusionSummary

_HEADINGS = ("layer", "same class", "own", "pair", "sharpness", "5 %", "entropy", "silhouette")
_LAST = "purity"


def summary_table(summary: "FusionSummary") -> str:
    """One row per layer, numbers per attention head averaged; "-" is a number not defined."""
    rows = [[*_HEADINGS, _LAST]]
    entering = [_number(summary.input_silhouette), _number(summary.input_neighbor_purity)]
    rows.append(["input", *[""] * 6, *entering])
    for number, layer in enumerate(summary.layers, start=1):
        per_head = (
            layer.same_class_mass,
            layer.own_mass,
            layer.pair_mass or [],
            layer.sharpness,
            layer.sharpness_quantile,
            layer.entropy,
        )
        of_tokens = (layer.silhouette, layer.neighbor_purity)
        rows.append([str(number), *map(_mean, per_head), *map(_number, of_tokens)])
    paired = any(layer.pair_mass is not None for layer in summary.layers)
    chance, even = _number(summary.chance), _number(1 / summary.tokens)
    entropy = _number(math.log(summary.tokens))
    # Of pairs chance leaves out more than a token's nearest neighbour does.
    purity = "" if paired else chance
    rows.append(["uniform", chance, even, even, "1", "1", entropy, "", purity])
    if not paired:
        rows = [[*row[:3], *row[4:]] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    title = f"Fusion of {summary.tokens} tokens of {summary.classes} classes, means over heads"
    return "\n".join([title, *lines])


def _mean(values: Iterable[float | None]) -> str:
    defined = [value for value in values if value is not None]
    return _number(sum(defined) / len(defined)) if defined else "-"


def _number(value: float) -> str:
    return f"{value:.3g}"
