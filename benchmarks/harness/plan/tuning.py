"""Choosing one learning rate for each head from runs on held-out images."""

import math
from collections.abc import Sequence

from df_heads.benchmarks.harness.base.statistics import Summary
from df_heads.benchmarks.harness.evaluate.standard import UNSUPERVISED
from df_heads.benchmarks.harness.tables.blocks import Cell, Table
from df_heads.benchmarks.harness.tables.runs import METRICS, Runs
from df_heads.benchmarks.harness.tables.values import Mean, Number

#: What the best rate is chosen by: the accuracy that every ablation of the paper reports.
CRITERION = METRICS[UNSUPERVISED]


def rate_of(runs: Runs) -> float:
    """The peak learning rate of runs."""
    return next(iter(runs.configuration.experiments.values())).learning_rate


def accuracy(runs: Runs) -> Summary | None:
    """The criterion over seeds, in percent; None if nothing was run."""
    return runs.mean(UNSUPERVISED)


def counts(runs: Runs) -> bool:
    """Whether a rate may be chosen: every seed was run and none collapsed."""
    return runs.complete and not runs.collapsed


def choose(tried: Sequence[Runs]) -> dict[str, float]:
    """The best rate of each head that has one; of equal rates the lowest."""
    best: dict[str, tuple[float, float]] = {}
    for runs in sorted(tried, key=rate_of):
        mean = accuracy(runs)
        if counts(runs) and mean is not None:
            head = runs.configuration.head
            if mean.mean > best.get(head, (-math.inf, 0.0))[0]:
                best[head] = mean.mean, rate_of(runs)
    return {head: rate for head, (_, rate) in best.items()}


def next_rate(tried: Sequence[Runs], spare: Sequence[float]) -> float | None:
    """The rate to try next for one head, so that its best one comes to lie inside.

    Args:
        tried: The head's runs so far, all of them ended.
        spare: Rates that may be added.

    Returns:
        The nearest beyond the best rate if that is the lowest or the highest tried, below all if
        none can be chosen; None if the best lies inside or there is none left.
    """
    rates = sorted(map(rate_of, tried))
    best = next(iter(choose(tried).values()), rates[0])
    if best == rates[0]:
        return max((rate for rate in spare if rate < best), default=None)
    if best == rates[-1]:
        return min((rate for rate in spare if rate > best), default=None)
    return None


def tuning_table(tried: Sequence[Runs]) -> Table:
    """A line for each head: its accuracy at each rate that was for it, and the rate chosen."""
    rates = sorted({rate_of(runs) for runs in tried})
    chosen = choose(tried)
    by_head = {(runs.configuration.head, rate_of(runs)): runs for runs in tried}
    lines: list[list[Cell]] = [
        [
            head,
            *(_mean(by_head[head, rate]) if (head, rate) in by_head else "" for rate in rates),
            Number(chosen[head], "g") if head in chosen else "none",
        ]
        for head in dict.fromkeys(runs.configuration.head for runs in tried)
    ]
    return Table(["head", *(f"{rate:g}" for rate in rates), "chosen"], lines)


def _mean(runs: Runs) -> Mean:
    return Mean(accuracy(runs), collapsed=runs.collapsed)


def notes(tried: Sequence[Runs]) -> list[str]:
    """What to know before using the choice, one sentence each."""
    rates: dict[str, list[float]] = {}
    for runs in tried:
        rates.setdefault(runs.configuration.head, []).append(rate_of(runs))
    chosen = choose(tried)
    sentences = [
        f"{head}: the best rate, {rate:g}, is the "
        f"{'lowest' if rate == min(rates[head]) else 'highest'} tried; a better one may lie "
        "beyond: add it to --rates."
        for head, rate in chosen.items()
        if len(rates[head]) > 1 and rate in (min(rates[head]), max(rates[head]))
    ]
    sentences += [
        f"{head}: no rate was run with every seed and without a collapse."
        for head in dict.fromkeys(runs.configuration.head for runs in tried)
        if head not in chosen
    ]
    return sentences
