"""The figure of a suite: the training losses, and beside them what the features are worth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from df_heads.benchmarks.harness.base.statistics import summarize
from df_heads.benchmarks.harness.plots.drawing import (
    COLORS,
    draw_across,
    new_figure,
    save_with_vectors,
)
from df_heads.benchmarks.harness.plots.losses import LossCurve, draw_losses

_WIDTHS = (1.45, 1.0)  # of the losses, and of each accuracy
_INCHES = 3.4
_LEAST_HEIGHT, _HEIGHT_OF_A_ROW = 3.6, 0.3


@dataclass(frozen=True)
class SuitePanel:
    """One row of axes, of runs with the same loss.

    Attributes:
        title: What they have in common.
        curves: The losses of each head in each setting.
        accuracies: Column -> for each curve, the accuracies of its seeds, in percent.
        collapsed: See `draw_losses`.
    """

    title: str
    curves: Sequence[LossCurve]
    accuracies: Mapping[str, Sequence[Sequence[float]]]
    collapsed: Sequence[float] = ()


def draw_suite_panels(stem: Path, panels: Sequence[SuitePanel]) -> list[Path]:
    """Draw a row for each panel, as PNG and SVG: the losses, then the mean of each accuracy.

    The bars are 95 % t intervals, from two seeds on.

    Args:
        stem: The files, without their endings.
        panels: What to draw, all with the same accuracies.

    Returns:
        The files.

    Raises:
        InputError: If there is no matplotlib.
    """
    columns = list(panels[0].accuracies)
    heights = [max(_LEAST_HEIGHT, 1.2 + _HEIGHT_OF_A_ROW * len(panel.curves)) for panel in panels]
    widths = [_WIDTHS[0], *[_WIDTHS[1]] * len(columns)]
    figure, axes = new_figure(
        len(panels),
        len(widths),
        width=_INCHES * sum(widths),
        height=sum(heights),
        width_ratios=widths,
        height_ratios=heights,
    )
    for row, panel in zip(axes, panels, strict=True):
        row[0].set_title(panel.title)
        draw_losses(row[0], panel.curves, collapsed=panel.collapsed)
        for axis, column in zip(row[1:], columns, strict=True):
            _draw_accuracies(axis, panel, column, named=axis is row[1])
    return save_with_vectors(figure, stem)


def _draw_accuracies(axis: Any, panel: SuitePanel, column: str, *, named: bool) -> None:
    for y, values in enumerate(panel.accuracies[column]):
        if (summary := summarize(values)) is not None:
            draw_across(axis, y, summary, color=COLORS[y % len(COLORS)])
    labels = [curve.label if named else "" for curve in panel.curves]
    axis.set_yticks(range(len(panel.curves)), labels, fontsize="small")
    axis.set_ylim(len(panel.curves) - 0.5, -0.5)
    axis.set_xlabel(f"accuracy, {column}")
    axis.grid(axis="x", color="0.9")
    axis.set_axisbelow(True)
