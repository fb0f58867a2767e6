"""Means and paired differences over seeds."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Summary:
    """Mean over seeds, their sample standard deviation (None for one seed) and their number."""

    mean: float
    deviation: float | None
    count: int


def summarize(values: Sequence[float]) -> Summary | None:
    """Mean and sample standard deviation; None of no values."""
    if not values:
        return None
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return Summary(statistics.fmean(values), deviation, len(values))


def paired_gain(ours: Mapping[int, float], theirs: Mapping[int, float]) -> Summary | None:
    """Summary of ours minus theirs over the seeds that both have."""
    return summarize([ours[seed] - theirs[seed] for seed in sorted(ours.keys() & theirs.keys())])
