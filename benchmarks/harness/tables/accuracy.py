"""Tables of accuracies and of paired gains, from result files and nothing else."""

from collections.abc import Sequence

from df_heads.benchmarks.harness.base.names import BASELINE, CONTROL
from df_heads.benchmarks.harness.evaluate.evaluation import Load
from df_heads.benchmarks.harness.tables.blocks import Block, Cell, Table
from df_heads.benchmarks.harness.tables.comparisons import Comparison, gains_with_legend
from df_heads.benchmarks.harness.tables.runs import Configuration, Runs
from df_heads.benchmarks.harness.tables.values import Duration, Mean, Millions, Number

REFERENCES = {BASELINE: "feedforward", CONTROL: "attention off"}


def accuracy_table(headings: Sequence[str], rows: Sequence[Runs]) -> Table:
    """Mean accuracies over seeds, with the paper's beside them.

    Args:
        headings: Those of the configurations' labels.
        rows: The runs, all with the same accuracy columns.
    """
    columns = list(rows[0].configuration.metrics)
    header = [*headings, "head", "size", "params"]
    for column in columns:
        header += [column, "paper"]
    return Table([*header, "train time", "paper", "seeds"], list(map(_accuracy_row, rows)))


def _accuracy_row(runs: Runs) -> list[Cell]:
    asked = runs.configuration
    cells: list[Cell] = [*asked.labels, runs.title, asked.size, Millions(runs.head_parameters)]
    for column in asked.metrics:
        mean = runs.mean(column)
        # An untrained backbone has no evaluations beside the standard one.
        cells.append("" if mean is None and runs.results else Mean(mean))
        cells.append(Number(asked.paper.get(column), ".2f"))
    return [
        *cells,
        Duration(runs.train_seconds),
        Number(asked.paper_hours, ".2f", " h"),
        Number(len(runs.results)),
    ]


def compare_heads(headings: Sequence[str], rows: Sequence[Runs]) -> list[Comparison]:
    """Each head over the feed-forward one and over the control, paired by seed.

    Args:
        headings: Those of the configurations' labels.
        rows: The runs, all with the same accuracy columns.
    """
    by_head = {(runs.configuration.labels, runs.configuration.head): runs for runs in rows}
    found: list[Comparison] = []
    for runs in rows:
        asked = runs.configuration
        setting = (*zip(headings, asked.labels, strict=True), ("size", asked.size))
        for reference, title in REFERENCES.items():
            other = by_head.get((asked.labels, f"{reference}-{asked.size}"))
            if other is not None and other is not runs:
                found += runs.compare(other, head=asked.title, over=title, setting=setting)
    return found


def accuracies_and_gains(
    headings: Sequence[str], configurations: Sequence[Configuration], load: Load
) -> list[Block]:
    """The accuracies, then, if there are pairs of heads, the gains and how to read them."""
    rows = [Runs(configuration, load) for configuration in configurations]
    gains = gains_with_legend(compare_heads(headings, rows))
    return [accuracy_table(headings, rows), *gains]
