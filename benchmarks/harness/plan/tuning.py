"""Choosing one learning rate for each head from runs on held-out images."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from df_heads.benchmarks.harness.base.statistics import Summary, summarize
from df_heads.benchmarks.harness.base.text_table import NOT_RUN, markdown_table, percent
from df_heads.benchmarks.harness.store.schema import RunResult

#: What the best rate is chosen by: the accuracy that every ablation of the paper reports.
CRITERION = "unsupervised"


@dataclass(frozen=True)
class Trial:
    """One head at one rate.

    Attributes:
        head: A preset.
        rate: Peak learning rate.
        results: Content of its result files, by seed.
        wanted: How many seeds there should be.
    """

    head: str
    rate: float
    results: Mapping[int, RunResult]
    wanted: int

    @property
    def accuracy(self) -> Summary | None:
        """The criterion over seeds, in percent; None if nothing was run."""
        return summarize([result.metrics[CRITERION] for result in self.results.values()])

    @property
    def counts(self) -> bool:
        """Whether it may be chosen: every seed was run and none collapsed."""
        complete = len(self.results) == self.wanted
        return complete and not any(result.collapsed for result in self.results.values())


def choose(trials: Sequence[Trial]) -> dict[str, float]:
    """The best rate of each head that has one; of equal rates the lowest."""
    best: dict[str, tuple[float, float]] = {}
    for trial in sorted(trials, key=lambda trial: trial.rate):
        if trial.counts and trial.accuracy is not None:
            accuracy, _ = best.get(trial.head, (-math.inf, 0.0))
            if trial.accuracy.mean > accuracy:
                best[trial.head] = trial.accuracy.mean, trial.rate
    return {head: rate for head, (_, rate) in best.items()}


def tuning_table(trials: Sequence[Trial]) -> str:
    """A line for each head: its accuracy at each rate, and the rate chosen."""
    rates = sorted({trial.rate for trial in trials})
    heads = list(dict.fromkeys(trial.head for trial in trials))
    chosen = choose(trials)
    by_place = {(trial.head, trial.rate): trial for trial in trials}
    lines = [
        [
            head,
            *(_cell(by_place[head, rate]) for rate in rates),
            f"{chosen[head]:g}" if head in chosen else "none",
        ]
        for head in heads
    ]
    return markdown_table(["head", *(f"{rate:g}" for rate in rates), "chosen"], lines)


def _cell(trial: Trial) -> str:
    if trial.accuracy is None:
        return NOT_RUN
    mark = " (collapsed)" if any(result.collapsed for result in trial.results.values()) else ""
    return f"{percent(trial.accuracy)}{mark}"


def notes(trials: Sequence[Trial]) -> list[str]:
    """What to know before using the choice, one sentence each."""
    rates = sorted({trial.rate for trial in trials})
    chosen = choose(trials)
    sentences = [
        f"{head}: the best rate, {rate:g}, is the "
        f"{'lowest' if rate == rates[0] else 'highest'} tried; a better one may lie beyond: add "
        "it to --rates."
        for head, rate in chosen.items()
        if len(rates) > 1 and rate in (rates[0], rates[-1])
    ]
    sentences += [
        f"{head}: no rate was run with every seed and without a collapse."
        for head in dict.fromkeys(trial.head for trial in trials)
        if head not in chosen
    ]
    return sentences
