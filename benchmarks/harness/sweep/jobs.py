"""The cells of a table as jobs, and how they are dealt out to several processes."""

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from df_heads.benchmarks.harness.base.experiment import UNTRAINED, Experiment
from df_heads.benchmarks.harness.evaluate.evaluation import Evaluation
from df_heads.benchmarks.harness.store.results import ResultFolder


@dataclass(frozen=True)
class Job:
    """One cell of a table.

    Attributes:
        experiment: What to train and evaluate.
        evaluations: What is wanted beside the standard metrics; an untrained backbone has none.
        label: What tells it from the table's other cells beside data set, head and seed, for the
            terminal; jobs that differ in it alone are equal.
    """

    experiment: Experiment
    evaluations: tuple[Evaluation, ...] = ()
    label: str = field(default="", compare=False)

    @property
    def title(self) -> str:
        """What it is, for the terminal."""
        experiment = self.experiment
        place = f" {self.label}" if self.label else ""
        return f"{experiment.dataset} {experiment.head}{place} seed {experiment.seed}"

    def missing(self, results: ResultFolder) -> list[Evaluation]:
        """The evaluations whose files are not there."""
        return [each for each in self.evaluations if each.load(results, self.experiment) is None]

    def done(self, results: ResultFolder) -> bool:
        """Whether all its files are there."""
        return results.load(self.experiment) is not None and not self.missing(results)


@dataclass(frozen=True)
class Shard:
    """A share of the cells: number `index`, from 1, of `count`."""

    index: int = 1
    count: int = 1

    def share(self, jobs: Sequence[Job]) -> list[Job]:
        """Its cells. The shares of equal lists are disjoint and together the whole."""
        # Untrained cells, which take seconds, are dealt out last so that the others come out even.
        trained = sorted(jobs, key=lambda job: job.experiment.head == UNTRAINED)
        mine = set(trained[self.index - 1 :: self.count])
        return [job for job in jobs if job in mine]


#: All cells.
WHOLE = Shard()


def shard(value: str) -> Shard:
    """An argparse type: "2/8" is the second of eight shares."""
    parts = re.fullmatch(r"(\d+)/(\d+)", value)
    if parts is None or not 1 <= int(parts[1]) <= int(parts[2]):
        raise argparse.ArgumentTypeError(f"{value!r} must be i/n with i from 1 to n, such as 2/8")
    return Shard(int(parts[1]), int(parts[2]))
