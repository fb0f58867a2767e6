"""The gains of a family of hypotheses, one under the other."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from df_heads.benchmarks.harness.base.families import Judged
from df_heads.benchmarks.harness.base.statistics import Summary
from df_heads.benchmarks.harness.plots.drawing import (
    COLORS,
    draw_across,
    new_figure,
    save_with_vectors,
)

_WIDTH, _HEIGHT_OF_A_LINE, _HEIGHT_BESIDE = 8.0, 0.42, 1.1
_UNDECIDED = "0.45"
_VERDICTS = {"better": COLORS[0], "worse": COLORS[1], "undecided": _UNDECIDED}


@dataclass(frozen=True)
class HypothesisLine:
    """One hypothesis.

    Attributes:
        label: What over what.
        gain: In points; None if nothing was run.
        judged: Its verdict; None while the family is not complete.
    """

    label: str
    gain: Summary | None
    judged: Judged | None


@dataclass(frozen=True)
class HypothesisPanel:
    """One family.

    Attributes:
        title: Where, and how many seeds.
        accuracy: Which accuracy.
        lines: Its hypotheses.
    """

    title: str
    accuracy: str
    lines: Sequence[HypothesisLine]


def draw_hypotheses(stem: Path, panels: Sequence[HypothesisPanel]) -> list[Path]:
    """Draw a panel under another, as PNG and SVG.

    A bar with caps is a 95 % t interval, the line that goes on beyond it the interval of the
    family; colors are verdicts.

    Args:
        stem: The files, without their endings.
        panels: What to draw.

    Returns:
        The files.

    Raises:
        InputError: If there is no matplotlib.
    """
    heights = [_HEIGHT_BESIDE + _HEIGHT_OF_A_LINE * len(panel.lines) for panel in panels]
    figure, axes = new_figure(
        len(panels), 1, width=_WIDTH, height=sum(heights), height_ratios=heights
    )
    for axis, panel in zip(axes[:, 0], panels, strict=True):
        _draw(axis, panel)
    return save_with_vectors(figure, stem)


def _draw(axis: Any, panel: HypothesisPanel) -> None:
    for y, line in enumerate(panel.lines):
        color = _UNDECIDED if line.judged is None else _VERDICTS[line.judged.verdict]
        if line.judged is not None:
            axis.plot(line.judged.interval, [y, y], color=color, linewidth=0.8)
        if line.gain is not None:
            draw_across(axis, y, line.gain, color=color)
    axis.axvline(0, color="0.6", linewidth=0.8, zorder=0)
    axis.set_yticks(range(len(panel.lines)), [line.label for line in panel.lines], fontsize="small")
    axis.set_ylim(len(panel.lines) - 0.5, -0.5)
    axis.set_xlabel(f"gain in {panel.accuracy} accuracy, points")
    axis.set_title(panel.title)
    for verdict, color in _VERDICTS.items():
        axis.plot([], [], color=color, marker="o", label=verdict)
    if any(line.judged for line in panel.lines):
        axis.legend(fontsize="small", frameon=False)
