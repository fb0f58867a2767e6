"""Tables of accuracies and of paired gains, from result files and nothing else."""

from collections.abc import Container, Sequence

from df_heads.benchmarks.harness.base.names import BASELINE, CONTROL
from df_heads.benchmarks.harness.evaluate.evaluation import Load
from df_heads.benchmarks.harness.tables.blocks import Block, Cell, Table
from df_heads.benchmarks.harness.tables.comparisons import Comparison, gains_with_legend
from df_heads.benchmarks.harness.tables.runs import Configuration, Runs
from df_heads.benchmarks.harness.tables.values import Duration, Mean, Millions, Number

#: What heads are compared with, and in which words; each only with those before it, so that no
#: comparison stands there twice with the sign turned.
REFERENCES = {BASELINE: "feedforward", CONTROL: "attention off"}


def accuracy_table(headings: Sequence[str], rows: Sequence[Runs]) -> Table:
    """Mean accuracies over seeds, with the paper's beside them where it has any in this table.

    Args:
        headings: Those of the configurations' labels.
        rows: The runs, all with the same accuracy columns.
    """
    asked = [runs.configuration for runs in rows]
    printed = {column for one in asked for column in one.paper}
    has_hours = any(one.paper_hours is not None for one in asked)
    header = [*headings, "head", "size", "params"]
    for column in asked[0].metrics:
        header += [column, "paper"] if column in printed else [column]
    header += ["train time", "paper"] if has_hours else ["train time"]
    return Table(
        [*header, "seeds"], [_accuracy_row(runs, printed, has_hours=has_hours) for runs in rows]
    )


def _accuracy_row(runs: Runs, printed: Container[str], *, has_hours: bool) -> list[Cell]:
    asked = runs.configuration
    cells: list[Cell] = [*asked.labels, runs.title, asked.size, Millions(runs.head_parameters)]
    for column in asked.metrics:
        mean = runs.mean(column)
        # An untrained backbone has no evaluations beside the standard one.
        cells.append("" if mean is None and runs.results else Mean(mean))
        if column in printed:
            cells.append(Number(asked.paper.get(column), ".2f"))
    cells.append(Duration(runs.train_seconds))
    if has_hours:
        cells.append(Number(asked.paper_hours, ".2f", " h"))
    return [*cells, Number(len(runs.results))]


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
        for reference in before(asked.family, list(REFERENCES)):
            other = by_head.get((asked.labels, f"{reference}-{asked.size}"))
            if other is not None:
                over = REFERENCES[reference]
                found += runs.compare(other, what=asked.title, over=over, setting=setting)
    return found


def before(name: str, references: Sequence[str]) -> Sequence[str]:
    """The references that something is compared with: all, or, of one of them, those before it."""
    return references[: references.index(name)] if name in references else references


def accuracies_and_gains(
    headings: Sequence[str], configurations: Sequence[Configuration], load: Load
) -> list[Block]:
    """The accuracies, then, if there are pairs of heads, the gains and how to read them."""
    rows = [Runs(configuration, load) for configuration in configurations]
    gains = gains_with_legend(compare_heads(headings, rows))
    return [accuracy_table(headings, rows), *gains]
