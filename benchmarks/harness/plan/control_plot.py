"""The loss curves of a control suite."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from df_heads.benchmarks.harness.plan.control_suites import Suite
from df_heads.benchmarks.harness.plan.control_table import Place, places
from df_heads.benchmarks.harness.plots.losses import LossCurve, LossPanel, draw_losses, load_losses
from df_heads.benchmarks.harness.store.results import ResultFolder


def draw_suite(
    args: argparse.Namespace, suite: Suite, results: ResultFolder, stem: Path
) -> list[Path]:
    """One panel for each data set, size and method: the losses of different methods differ.

    A sequence of both views can lower its loss by copying one view into the other, without better
    features, so a suite is read with its losses beside its accuracies.

    Args:
        args: The parsed flags.
        suite: What to draw.
        results: Where the curves are.
        stem: The files to write, without their endings.

    Returns:
        The files.
    """
    by_panel: dict[str, list[Place]] = {}
    for line in places(args, suite):
        method = next(iter(line.experiments.values())).method
        by_panel.setdefault(f"{line.dataset}, {line.size} heads, {method}", []).append(line)
    return draw_losses(
        stem, [LossPanel(title, _curves(lines, results)) for title, lines in by_panel.items()]
    )


def _curves(lines: Sequence[Place], results: ResultFolder) -> list[LossCurve]:
    shows_setting = len({line.variant.setting for line in lines}) > 1
    curves, drawn = [], []
    for line in lines:
        if line.experiments in drawn:
            continue
        drawn.append(line.experiments)
        loaded = (load_losses(results, cell) for cell in line.experiments.values())
        head = line.variant.head
        label = f"{head}, {line.variant.setting}" if shows_setting else head
        curves.append(LossCurve(label, [losses for losses in loaded if losses]))
    return curves
