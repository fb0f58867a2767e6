"""The tables of run_robustness.py: a column for each setting, then the gains setting by setting."""

from collections.abc import Sequence
from dataclasses import replace

from df_heads.benchmarks.harness.evaluate.evaluation import Load
from df_heads.benchmarks.harness.tables.accuracy import compare_heads
from df_heads.benchmarks.harness.tables.blocks import Block, Cell, Table
from df_heads.benchmarks.harness.tables.comparisons import gains_with_legend
from df_heads.benchmarks.harness.tables.runs import Configuration, Runs
from df_heads.benchmarks.harness.tables.values import Mean, Number

ACCURACY = "accuracy %"

NOTE = (
    "Accuracies of a linear probe on frozen backbone features, in percent. All but the shares of "
    "labels train it on 10 % of the training set; 10 % labels is Table 2's supervised accuracy. "
    "Wrong labels are wrong in training only. Corrupted is the mean over six corruptions of the "
    "test images at severities 1, 3 and 5, each of which is in the result files."
)


def by_setting(configurations: Sequence[Configuration]) -> list[Configuration]:
    """One for each setting of each, which comparisons and a figure take one at a time."""
    return [
        replace(one, labels=(*one.labels, heading), metrics={ACCURACY: one.metrics[heading]})
        for heading in configurations[0].metrics
        for one in configurations
    ]


def robustness_tables(configurations: Sequence[Configuration], load: Load) -> list[Block]:
    """The accuracies of one data set, then, if there are pairs of heads, the gains.

    Args:
        configurations: The heads, with `settings` as their metrics.
        load: Finds the results, with those metrics.
    """
    apart = [Runs(one, load) for one in by_setting(configurations)]
    return [
        _accuracy_table([Runs(one, load) for one in configurations]),
        *gains_with_legend(compare_heads(["data", "setting"], apart)),
    ]


def _accuracy_table(rows: Sequence[Runs]) -> Table:
    settings = list(rows[0].configuration.metrics)
    lines: list[list[Cell]] = [
        [
            *runs.configuration.labels,
            runs.title,
            runs.configuration.size,
            *(Mean(runs.mean(setting)) for setting in settings),
            Number(len(runs.results)),
        ]
        for runs in rows
    ]
    return Table(["data", "head", "size", *settings, "seeds"], lines)
