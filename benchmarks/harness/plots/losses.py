"""Training losses over epochs, from the curve files beside the results, on one set of axes."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.base.experiment import Experiment
from df_heads.benchmarks.harness.plots.drawing import COLORS
from df_heads.benchmarks.harness.store.results import ResultFolder

_LINES = ("-", "--", ":", "-.")
_GRAY = "0.4"


@dataclass(frozen=True)
class LossCurve:
    """The runs of one head in one setting.

    Attributes:
        label: For the legend.
        losses: A curve of (epoch, loss) for each seed that was run.
    """

    label: str
    losses: Sequence[Sequence[tuple[float, float]]]


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


def draw_losses(axis: Any, curves: Sequence[LossCurve], *, collapsed: Sequence[float] = ()) -> None:
    """Draw the mean over seeds, each seed thinly, and the loss of parallel projections.

    Args:
        axis: Where.
        curves: Of runs with the same loss.
        collapsed: The losses log(2N - 1) that parallel projections would have, N the batch; none
            for another loss than NT-Xent.
    """
    axis.set(xlabel="epoch", ylabel="training loss")
    for number, curve in enumerate(curves):
        _draw(axis, curve, COLORS[number % len(COLORS)], _LINES[number // len(COLORS) % 4])
    for loss in collapsed:
        axis.axhline(loss, color=_GRAY, linewidth=0.9, linestyle=(0, (6, 3)), zorder=0)
        axis.annotate(
            "log(2N \u2212 1): all projections parallel",
            (1, loss),
            xycoords=("axes fraction", "data"),
            xytext=(0, 2),
            textcoords="offset points",
            ha="right",
            fontsize="small",
            color=_GRAY,
        )
    axis.legend(fontsize="small", frameon=False)


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
