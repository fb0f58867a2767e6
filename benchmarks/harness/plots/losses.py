"""Training losses over epochs, from the curve files beside the results."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.base.experiment import Experiment
from df_heads.benchmarks.harness.plots.drawing import COLORS, new_figure, save_with_vectors
from df_heads.benchmarks.harness.store.results import ResultFolder

_PANEL_WIDTH, _PANEL_HEIGHT = 5.0, 3.6
_LINES = ("-", "--", ":", "-.")


@dataclass(frozen=True)
class LossCurve:
    """The runs of one head in one setting.

    Attributes:
        label: For the legend.
        losses: A curve of (epoch, loss) for each seed that was run.
    """

    label: str
    losses: Sequence[Sequence[tuple[float, float]]]


@dataclass(frozen=True)
class LossPanel:
    """One set of axes, of runs with the same loss."""

    title: str
    curves: Sequence[LossCurve]


def load_losses(results: ResultFolder, experiment: Experiment) -> list[tuple[float, float]] | None:
    """Epoch and mean training loss of a finished run; None if there is no curve.

    Raises:
        InputError: If the file is damaged.
    """
    file = results.curve_file(experiment)
    if results.load(experiment) is None or not file.exists():
        return None
    try:
        with file.open(newline="", encoding="utf-8") as stream:
            rows = csv.DictReader(stream)
            return [(float(row["epoch"]), float(row["train_loss"])) for row in rows]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{file} is damaged ({error!r}); move it and its result away to run it again."
        ) from error


def draw_losses(stem: Path, panels: Sequence[LossPanel]) -> list[Path]:
    """Draw panels side by side, as PNG and SVG; the mean over seeds, and each seed thinly.

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
        axis.set(title=panel.title, xlabel="epoch", ylabel="training loss")
        for number, curve in enumerate(panel.curves):
            _draw(axis, curve, COLORS[number % len(COLORS)], _LINES[number // len(COLORS) % 4])
        axis.legend(fontsize="small", frameon=False)
    return save_with_vectors(figure, stem)


def _draw(axis: Any, curve: LossCurve, color: str, style: str) -> None:
    by_epoch: dict[float, list[float]] = {}
    for losses in curve.losses:
        for epoch, loss in losses:
            by_epoch.setdefault(epoch, []).append(loss)
        if len(curve.losses) > 1:
            axis.plot(*zip(*losses, strict=True), color=color, linewidth=0.5, alpha=0.5)
    epochs = sorted(by_epoch)
    axis.plot(
        epochs,
        [fmean(by_epoch[epoch]) for epoch in epochs],
        label=curve.label if epochs else f"{curve.label} (not run)",
        color=color,
        linestyle=style,
        marker="o" if len(epochs) == 1 else "",
    )
