"""Figures: one place for the style, the colors and the missing matplotlib."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.base.statistics import Summary

#: Okabe and Ito's colors, which color-blind readers can tell apart.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DPI = 110


def require_matplotlib() -> None:
    """Raise InputError if there is no matplotlib, before hours of training rather than after."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise InputError(
            "the figures need matplotlib: pip install 'df-heads[benchmarks]'"
        ) from error


def new_figure(
    rows: int,
    columns: int,
    *,
    width: float,
    height: float,
    width_ratios: Sequence[float] | None = None,
    height_ratios: Sequence[float] | None = None,
) -> tuple[Any, Any]:
    """A figure of so many inches and its (rows, columns) array of axes, alike without ratios."""
    require_matplotlib()
    # Not pyplot: it would keep every figure and may want a display.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(
        rows, columns, squeeze=False, width_ratios=width_ratios, height_ratios=height_ratios
    )
    for axis in axes.flat:
        axis.spines[["top", "right"]].set_visible(False)
        axis.title.set_fontsize("medium")
    return figure, axes


def draw_means(
    axis: Any,
    points: Sequence[tuple[float, Summary]],
    *,
    label: str,
    color: str,
    linestyle: str = "none",
) -> None:
    """Draw (x, summary) points with their 95 % t intervals; without points the legend says so."""
    halves = [0.0 if s.interval is None else s.interval[1] - s.mean for _, s in points]
    axis.errorbar(
        [x for x, _ in points],
        [summary.mean for _, summary in points],
        yerr=halves if any(halves) else None,
        label=label if points else f"{label} (not run)",
        color=color,
        marker="o",
        linestyle=linestyle,
        capsize=3,
    )


def draw_across(axis: Any, y: float, summary: Summary, *, color: str) -> None:
    """Draw one mean on a line of its own, from left to right, with its 95 % t interval."""
    half = 0.0 if summary.interval is None else summary.interval[1] - summary.mean
    axis.errorbar(
        [summary.mean], [y], xerr=half or None, color=color, marker="o", linestyle="none", capsize=3
    )


def save_figure(figure: Any, file: Path) -> None:
    """Write the figure, whole or not at all; the name's ending decides the format.

    A PNG gets a palette, which leaves a third of the bytes or less.
    """
    temporary = file.with_name(f"{file.stem}.tmp{file.suffix}")
    figure.savefig(temporary, dpi=DPI)
    if file.suffix == ".png":
        _take_palette(temporary)
    temporary.replace(file)


def _take_palette(file: Path) -> None:
    from PIL import Image

    with Image.open(file) as image:
        # The method that keeps rare colors, such as the bright end of a map.
        few = image.convert("RGB").quantize(
            256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE
        )
    few.save(file, optimize=True)


def save_with_vectors(figure: Any, stem: Path) -> list[Path]:
    """Write the figure as PNG and as SVG; the stem is the files' name without the endings."""
    files = [stem.with_name(stem.name + ending) for ending in (".png", ".svg")]
    for file in files:
        save_figure(figure, file)
    return files
