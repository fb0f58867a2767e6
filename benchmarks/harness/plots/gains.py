"""Paired gains with their intervals, setting by setting."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from df_heads.benchmarks.harness.base.statistics import Summary
from df_heads.benchmarks.harness.plots.drawing import (
    COLORS,
    draw_means,
    new_figure,
    save_with_vectors,
)

_PANEL_WIDTH, _PANEL_HEIGHT = 6.5, 3.8
_APART = 0.16


@dataclass(frozen=True)
class Gains:
    """One head over another.

    Attributes:
        label: For the legend.
        values: The gain in each setting, in points; None where no pair was run.
    """

    label: str
    values: Sequence[Summary | None]


@dataclass(frozen=True)
class GainPanel:
    """One set of axes."""

    title: str
    settings: Sequence[str]
    gains: Sequence[Gains]


def draw_gains(stem: Path, panels: Sequence[GainPanel]) -> list[Path]:
    """Draw panels side by side, as PNG and SVG: mean gains, and 95 % t intervals from two seeds.

    Args:
        stem: The files, without their endings.
        panels: What to draw.

    Returns:
        The files.

    Raises:
        InputError: If there is no matplotlib.
    """
    figure, axes = new_figure(
        1, len(panels), width=_PANEL_WIDTH * len(panels), height=_PANEL_HEIGHT
    )
    for axis, panel in zip(axes[0], panels, strict=True):
        axis.set(title=panel.title, ylabel="gain, points")
        axis.set_xticks(range(len(panel.settings)), panel.settings, rotation=20, ha="right")
        axis.axhline(0, color="0.6", linewidth=0.8, zorder=0)
        for number, gains in enumerate(panel.gains):
            aside = _APART * (number - (len(panel.gains) - 1) / 2)
            run = [(x + aside, value) for x, value in enumerate(gains.values) if value is not None]
            draw_means(axis, run, label=gains.label, color=COLORS[number % len(COLORS)])
        if panel.gains:
            axis.legend(fontsize="small", frameon=False)
    return save_with_vectors(figure, stem)
