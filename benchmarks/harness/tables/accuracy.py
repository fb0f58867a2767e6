"""Tables of accuracies and of paired gains, from result files and nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from df_heads.benchmarks.harness.base.experiment import UNTRAINED, Experiment
from df_heads.benchmarks.harness.base.names import BASELINE, CONTROL, family, size_of
from df_heads.benchmarks.harness.base.paper import PAPER_METHOD
from df_heads.benchmarks.harness.base.statistics import Summary, paired_gain, summarize, verdict
from df_heads.benchmarks.harness.base.text_table import (
    duration,
    gain,
    interval,
    markdown_table,
    millions,
    percent,
)
from df_heads.benchmarks.harness.evaluate.evaluation import Load
from df_heads.benchmarks.harness.evaluate.standard import Standard

#: The columns of most tables, and the metric that fills each.
METRICS = Standard().columns
REFERENCES = {BASELINE: "feedforward", CONTROL: "attention off"}


@dataclass(frozen=True)
class Row:
    """One line of a table: one head in one setting, over its seeds.

    Attributes:
        labels: What tells its setting apart, under the table's own headings; heads are compared
            within equal labels.
        head: A preset or "untrained".
        experiments: Its cells, by seed.
        metrics: The metric that fills each accuracy column.
        paper: What the paper prints there, by column.
        paper_hours: The paper's time of training.
    """

    labels: tuple[str, ...]
    head: str
    experiments: Mapping[int, Experiment]
    metrics: Mapping[str, str] = field(default_factory=lambda: METRICS)
    paper: Mapping[str, float] = field(default_factory=dict)
    paper_hours: float | None = None

    @property
    def title(self) -> str:
        """The head's family, after the method if that is not the paper's."""
        method = next(iter(self.experiments.values())).method
        return family(self.head) if method == PAPER_METHOD else f"{method} {family(self.head)}"


class FilledRow:
    """A row with the results that there are.

    Attributes:
        row: The row.
        results: Content of the result files, by seed.
    """

    def __init__(self, row: Row, load: Load) -> None:
        self.row = row
        loaded = {seed: load(experiment) for seed, experiment in row.experiments.items()}
        self.results = {seed: result for seed, result in loaded.items() if result is not None}

    @property
    def title(self) -> str:
        """The row's title, and whether a run of it collapsed."""
        return self.row.title + (
            " (collapsed)" if any(result.collapsed for result in self.results.values()) else ""
        )

    def accuracies(self, column: str) -> dict[int, float]:
        """The accuracy of each seed, in percent."""
        metric = self.row.metrics[column]
        return {
            seed: result.metrics[metric]
            for seed, result in self.results.items()
            if metric in result.metrics
        }

    def gain(self, column: str, over: "FilledRow") -> Summary | None:
        """The paired gain over another row; None without a common seed."""
        return paired_gain(self.accuracies(column), over.accuracies(column))


def fill(rows: Sequence[Row], load: Load) -> list[FilledRow]:
    """Load the results of all rows."""
    return [FilledRow(row, load) for row in rows]


def accuracy_table(labels: Sequence[str], rows: Sequence[FilledRow]) -> str:
    """Mean accuracies over seeds, with the paper's beside them.

    Args:
        labels: The headings of the rows' labels.
        rows: The rows, all with the same accuracy columns.
    """
    columns = list(rows[0].row.metrics)
    header = [*labels, "head", "size", "params"]
    for column in columns:
        header += [column, "paper"]
    header += ["train time", "paper", "seeds"]
    return markdown_table(header, [_accuracy_cells(row, columns) for row in rows])


def _accuracy_cells(filled: FilledRow, columns: Sequence[str]) -> list[str]:
    row, results = filled.row, filled.results
    first = next(iter(results.values()), None)
    seconds = summarize([result.seconds["train"] for result in results.values()])
    cells = [
        *row.labels,
        filled.title,
        size_of(row.head),
        millions(first.parameters.head if first else None),
    ]
    for column in columns:
        printed = row.paper.get(column)
        cells += [
            percent(summarize(list(filled.accuracies(column).values()))),
            "" if printed is None else f"{printed:.2f}",
        ]
    return [
        *cells,
        duration(seconds.mean if seconds and row.head != UNTRAINED else None),
        "" if row.paper_hours is None else f"{row.paper_hours:.2f} h",
        str(len(results)),
    ]


def gain_table(labels: Sequence[str], rows: Sequence[FilledRow]) -> str:
    """Each head over the feed-forward one and over the control, paired by seed; empty of no pairs.

    Args:
        labels: The headings of the rows' labels.
        rows: The rows, all with the same accuracy columns.
    """
    columns = list(rows[0].row.metrics)
    header = [*labels, "size", "head", "over"]
    for column in columns:
        header += [f"{column.removesuffix(' %')} gain", "95 % interval", "verdict"]
    by_place = {(row.row.labels, row.row.head): row for row in rows}
    lines = []
    for row in rows:
        size = size_of(row.row.head)
        for reference, title in REFERENCES.items():
            other = by_place.get((row.row.labels, f"{reference}-{size}"))
            if other is None or other is row or not row.results.keys() & other.results.keys():
                continue
            cells = [*row.row.labels, size, row.row.title, title]
            for column in columns:
                cells += _gain_cells(row.gain(column, other))
            lines.append([*cells, str(len(row.results.keys() & other.results.keys()))])
    return markdown_table([*header, "seeds"], lines) if lines else ""


def _gain_cells(summary: Summary | None) -> list[str]:
    return [gain(summary), interval(summary), "" if summary is None else verdict(summary)]


#: Stands under every table with verdicts.
LEGEND = (
    "Gains are in points, paired by seed, with Student's t interval. Each verdict stands alone: of "
    "20 without any effect, about one is called better or worse by chance."
)


def both_tables(labels: Sequence[str], rows: Sequence[Row], load: Load) -> str:
    """The accuracies, then, if there are pairs of heads, the gains and how to read them."""
    filled = fill(rows, load)
    accuracies, gains = accuracy_table(labels, filled), gain_table(labels, filled)
    return f"{accuracies}\n\n{gains}\n\n{LEGEND}" if gains else accuracies
