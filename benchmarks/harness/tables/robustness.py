"""The tables of run_robustness.py: a column for each setting, then the gains setting by setting."""

from collections.abc import Sequence
from dataclasses import replace

from df_heads.benchmarks.harness.base.names import size_of
from df_heads.benchmarks.harness.base.statistics import summarize
from df_heads.benchmarks.harness.base.text_table import markdown_table, percent
from df_heads.benchmarks.harness.evaluate.evaluation import Load
from df_heads.benchmarks.harness.tables.accuracy import LEGEND, FilledRow, Row, fill, gain_table

ACCURACY = "accuracy %"

NOTE = (
    "Accuracies of a linear probe on frozen backbone features, in percent. All but the shares of "
    "labels train it on 10 % of the training set; 10 % labels is Table 2's supervised accuracy. "
    "Wrong labels are wrong in training only. Corrupted is the mean over six corruptions of the "
    "test images at severities 1, 3 and 5, each of which is in the result files."
)


def by_setting(rows: Sequence[Row]) -> list[Row]:
    """A row for each setting of each row, which `gain_table` and a figure take one at a time."""
    return [
        replace(row, labels=(*row.labels, heading), metrics={ACCURACY: metric})
        for heading in rows[0].metrics
        for row in rows
        for metric in [row.metrics[heading]]
    ]


def robustness_tables(rows: Sequence[Row], load: Load) -> str:
    """The accuracies of one data set, then, if there are pairs of heads, the gains.

    Args:
        rows: The heads, with `settings` as their metrics.
        load: Finds the results, with those metrics.
    """
    accuracies = _accuracy_table(fill(rows, load))
    gains = gain_table(["data", "setting"], fill(by_setting(rows), load))
    return "\n\n".join([accuracies, *([gains, LEGEND] if gains else [])])


def _accuracy_table(rows: Sequence[FilledRow]) -> str:
    headings = list(rows[0].row.metrics)
    lines = [
        [
            *row.row.labels,
            row.title,
            size_of(row.row.head),
            *(percent(summarize(list(row.accuracies(heading).values()))) for heading in headings),
            str(len(row.results)),
        ]
        for row in rows
    ]
    return markdown_table(["data", "head", "size", *headings, "seeds"], lines)
