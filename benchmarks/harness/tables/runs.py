"""A configuration over its seeds, and the runs of it that there are: what tables are made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from df_heads.benchmarks.harness.base.experiment import UNTRAINED, Experiment
from df_heads.benchmarks.harness.base.names import family, size_of
from df_heads.benchmarks.harness.base.paper import PAPER_METHOD
from df_heads.benchmarks.harness.base.statistics import Summary, paired_gain, summarize
from df_heads.benchmarks.harness.evaluate.evaluation import Load
from df_heads.benchmarks.harness.evaluate.standard import Standard
from df_heads.benchmarks.harness.tables.comparisons import Comparison

#: The accuracy columns of most tables, and the metric that fills each.
METRICS = Standard().columns


@dataclass(frozen=True)
class Configuration:
    """One head in one setting, over its seeds: a row of a table.

    Attributes:
        labels: What tells its setting apart, under the table's own headings; heads are compared
            within equal labels.
        head: A preset or "untrained".
        experiments: By seed.
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
    def family(self) -> str:
        """The head's name without its size."""
        return family(self.head)

    @property
    def size(self) -> str:
        """The head's size; empty for "untrained"."""
        return size_of(self.head)

    @property
    def method(self) -> str:
        """The method that trains it."""
        return next(iter(self.experiments.values())).method

    @property
    def title(self) -> str:
        """The head's family, after the method if that is not the paper's."""
        return self.family if self.method == PAPER_METHOD else f"{self.method} {self.family}"


class Runs:
    """The finished runs of a configuration.

    Attributes:
        configuration: Of what.
        results: Content of the result files, by seed.
    """

    def __init__(self, configuration: Configuration, load: Load) -> None:
        self.configuration = configuration
        loaded = {seed: load(one) for seed, one in configuration.experiments.items()}
        self.results = {seed: result for seed, result in loaded.items() if result is not None}

    @property
    def complete(self) -> bool:
        """Whether every seed was run."""
        return len(self.results) == len(self.configuration.experiments)

    @property
    def collapsed(self) -> bool:
        """Whether one of them collapsed."""
        return any(result.collapsed for result in self.results.values())

    @property
    def title(self) -> str:
        """The configuration's, and whether a run of it collapsed."""
        return f"{self.configuration.title}{' (collapsed)' if self.collapsed else ''}"

    @property
    def head_parameters(self) -> int | None:
        """Parameters of the head; None if nothing was run."""
        first = next(iter(self.results.values()), None)
        return None if first is None else first.parameters.head

    @property
    def train_seconds(self) -> float | None:
        """Mean time of training; None if nothing was trained."""
        if self.configuration.head == UNTRAINED:
            return None
        seconds = summarize([result.seconds["train"] for result in self.results.values()])
        return None if seconds is None else seconds.mean

    def accuracies(self, column: str) -> dict[int, float]:
        """The accuracy of each seed that has it, in percent."""
        metric = self.configuration.metrics[column]
        return {
            seed: result.metrics[metric]
            for seed, result in self.results.items()
            if metric in result.metrics
        }

    def mean(self, column: str) -> Summary | None:
        """The accuracy over seeds; None if nothing was run."""
        return summarize(list(self.accuracies(column).values()))

    def gain(self, column: str, over: "Runs") -> Summary | None:
        """The paired gain over other runs; None without a common seed."""
        return paired_gain(self.accuracies(column), over.accuracies(column))

    def compare(
        self, other: "Runs", *, what: str, over: str, setting: tuple[tuple[str, str], ...]
    ) -> list[Comparison]:
        """A comparison with other runs for each accuracy; none without a common seed.

        Args:
            other: The other runs.
            what: See `Comparison`.
            over: See `Comparison`.
            setting: See `Comparison`.
        """
        return [
            Comparison(what, over, setting, column.removesuffix(" %"), gain)
            for column in self.configuration.metrics
            if (gain := self.gain(column, other)) is not None
        ]
