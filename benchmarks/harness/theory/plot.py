"""The figure of the theory benchmark."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from df_heads.benchmarks.harness.plots.drawing import COLORS, new_figure, save_figure
from df_heads.benchmarks.harness.theory.measured import Measured
from df_heads.benchmarks.harness.theory.setting import Setting
from df_heads.benchmarks.harness.theory.table import Draws, Sweep, median

BLUE, ORANGE, GREEN, PURPLE = COLORS[:4]
LOW, HIGH = 3e-3, 3e3
LABELS = {
    "eps": "noise eps",
    "angle": "angle between clusters, degrees",
    "samples": "sequence length n",
    "clusters": "clusters K",
    "rank": "rank r",
}
LOGARITHMIC = ("eps", "samples")


def draw_theory(sweeps: Sequence[Sweep], draws: Draws, base: Setting, file: Path) -> None:
    """One panel per sweep that is not "aimed" noise, and one over the blocks at the base point.

    Raises:
        InputError: If matplotlib is not installed.
    """
    shown = [sweep for sweep in sweeps if sweep.settings[-1].noise == "random"]
    figure, axes = new_figure(2, 3, width=11, height=6.4)
    panels = axes.flatten()
    for axis, sweep in zip(panels, shown, strict=False):
        _sweep_panel(axis, sweep, draws)
    sequence = next(sweep for sweep in shown if sweep.field == "samples")
    _blocks_panel(panels[len(shown)], draws[base], draws[sequence.settings[0]])
    for axis in axes[:, 0]:
        axis.set_ylabel("sharpness S(A)")
    for axis in panels:
        axis.set_yscale("log")
        axis.set_ylim(LOW, HIGH)
        axis.axhline(1, color="0.6", linewidth=0.8, zorder=0)
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=4, frameon=False)
    save_figure(figure, file)


def _sweep_panel(axis: Any, sweep: Sweep, draws: Draws) -> None:
    where = list(range(len(sweep.values)))
    last = len(draws[sweep.settings[0]][0].scores)
    for block, color, marker in ((1, BLUE, "o"), (last, ORANGE, "s")):
        columns = [[m.scores[block - 1] for m in draws[s]] for s in sweep.settings]
        _line(axis, where, columns, f"measured, block {block}", color, marker)
    bounds = [median([m.sharpness_bound for m in draws[s]]) for s in sweep.settings]
    axis.plot(
        where,
        [float("nan") if bound is None else _inside(bound) for bound in bounds],
        "k--v",
        markersize=4,
        linewidth=1.2,
        label="bound on block 1 (delta, Delta)",
    )
    label: str | None = "delta >= Delta: no bound"
    for x, setting in zip(where, sweep.settings, strict=True):
        share = sum(not m.separable for m in draws[setting]) / len(draws[setting])
        if share > 0.5:
            axis.axvspan(x - 0.5, x + 0.5, color="0.9", linewidth=0, zorder=-1, label=label)
            label = None
    axis.set_xticks(where, [f"{value:g}" for value in sweep.values], fontsize="small")
    axis.set_xlim(-0.5, len(where) - 0.5)
    axis.set_xlabel(LABELS[sweep.field])


def _blocks_panel(axis: Any, base: Sequence[Measured], short: Sequence[Measured]) -> None:
    blocks = list(range(1, len(base[0].scores) + 1))

    def columns(lists: Sequence[list[float]]) -> list[list[float]]:
        return [list(column) for column in zip(*lists, strict=True)]

    n, fewest = base[0].setting.samples, short[0].setting.samples
    for lists, name, color, marker in (
        ([m.scores for m in base], f"n = {n}", ORANGE, "s"),
        ([m.scores_residual for m in base], f"n = {n}, residual", GREEN, "D"),
        ([m.scores for m in short], f"n = {fewest}", PURPLE, "^"),
    ):
        _line(axis, blocks, columns(lists), name, color, marker)
    promised = [
        median([m.scores[0] * (m.factor_derived or 0) ** (b - 1) for m in base]) for b in blocks
    ]
    inside = [_inside(value or 0.0) for value in promised]
    label = f"Theorem 2's promise, n = {n}"
    axis.plot(blocks, inside, "k:v", markersize=4, linewidth=1.5, clip_on=False, label=label)
    axis.set_xlabel("block")
    axis.set_xticks(blocks)
    axis.legend(frameon=False, fontsize=8, loc="lower right", bbox_to_anchor=(1, 0.04))


def _line(
    axis: Any,
    where: Sequence[int],
    columns: Sequence[Sequence[float]],
    name: str,
    color: str,
    marker: str,
) -> None:
    middle = [_inside(median(column) or 0.0) for column in columns]
    low = [_inside(min(column)) for column in columns]
    high = [_inside(max(column)) for column in columns]
    axis.fill_between(where, low, high, color=color, alpha=0.2, linewidth=0)
    axis.plot(where, middle, color=color, marker=marker, markersize=4.5, label=name)


def _inside(value: float) -> float:
    """At the edge of the panel what lies beyond it: infinite, zero or negative sharpness."""
    return min(max(value, LOW), HIGH)
