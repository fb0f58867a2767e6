"""The curves of an ablation: ours with their intervals, the paper's points beside them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from df_heads.benchmarks.harness.base.statistics import summarize
from df_heads.benchmarks.harness.plots.drawing import (
    COLORS,
    draw_means,
    new_figure,
    save_with_vectors,
)

_PANEL_WIDTH, _PANEL_HEIGHT = 5.0, 3.6


@dataclass(frozen=True)
class Curve:
    """One head.

    Attributes:
        label: Its name.
        ours: (x, the accuracies of its seeds in percent); no accuracies where nothing was run.
        paper: (x, accuracy in percent).
    """

    label: str
    ours: Sequence[tuple[float, Sequence[float]]]
    paper: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Panel:
    """One set of axes."""

    title: str
    curves: Sequence[Curve]


def draw_curves(
    stem: Path,
    panels: Sequence[Panel],
    *,
    x_title: str,
    y_title: str,
    categories: Sequence[str] = (),
) -> list[Path]:
    """Draw panels side by side, as PNG and SVG.

    Filled points are ours, the mean over seeds with its 95 % t interval where there are two seeds
    or more; hollow points are the paper's.

    Args:
        stem: The files, without their endings.
        panels: What to draw.
        x_title: Under the x axis.
        y_title: Beside the y axis.
        categories: Names of x = 0, 1, ...; without them x is logarithmic, one tick for each value.

    Returns:
        The files.

    Raises:
        InputError: If there is no matplotlib.
    """
    figure, axes = new_figure(
        1, len(panels), width=_PANEL_WIDTH * len(panels), height=_PANEL_HEIGHT
    )
    for axis, panel in zip(axes[0], panels, strict=True):
        axis.set(title=panel.title, xlabel=x_title, ylabel=y_title)
        _set_ticks(axis, panel, categories)
        for number, curve in enumerate(panel.curves):
            # Side by side, so that no interval hides another's.
            aside = number - (len(panel.curves) - 1) / 2
            move = partial(_add if categories else _stretch, aside)
            _draw(axis, curve, COLORS[number % len(COLORS)], move, joined=not categories)
        low, high = axis.get_ylim()
        axis.set_ylim(max(0.0, low), min(100.0, high))  # intervals of few seeds reach beyond
        axis.legend(fontsize="small", frameon=False)
    return save_with_vectors(figure, stem)


def _set_ticks(axis: Any, panel: Panel, categories: Sequence[str]) -> None:
    if categories:
        axis.set_xticks(range(len(categories)), categories)
        axis.set_xlim(-0.5, len(categories) - 0.5)
        return
    values = sorted({x for curve in panel.curves for x, _ in curve.ours})
    axis.set_xscale("log")
    axis.set_xticks(values, [f"{value:g}" for value in values])
    axis.minorticks_off()


def _add(aside: float, x: float) -> float:
    return x + 0.12 * aside


def _stretch(aside: float, x: float) -> float:
    return x * float(1.02**aside)


def _draw(
    axis: Any, curve: Curve, color: str, move: Callable[[float], float], *, joined: bool
) -> None:
    run = [(move(x), summary) for x, values in curve.ours if (summary := summarize(values))]
    run.sort(key=lambda point: point[0])
    draw_means(axis, run, label=curve.label, color=color, linestyle="-" if joined else "none")
    if curve.paper:
        axis.plot(
            [move(x) for x, _ in sorted(curve.paper)],
            [y for _, y in sorted(curve.paper)],
            label=f"{curve.label}, paper",
            color=color,
            marker="o",
            markerfacecolor="none",
            linestyle=":" if joined else "none",
        )
