"""Means, paired differences and what may be said of them.

Intervals are Student's t over seeds, not a bootstrap. At 3 to 5 seeds a bootstrap resamples too
few values: if 3 differences share a sign, as under no effect they do in one case of four, every
resample shares it, and the interval never holds 0. The t interval is exact at any number of seeds
if the differences are normal, which means of thousands of test images nearly are.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

CONFIDENCE = 0.95
# Cohen's (1988) usual probability of finding an effect that is there.
POWER = 0.8
# Differences closer together than this, in points, are equal but for rounding.
EQUAL = 1e-9

Verdict = Literal["better", "worse", "undecided", "one seed"]


@dataclass(frozen=True)
class Summary:
    """Mean over seeds, their sample standard deviation (None for one seed) and their number."""

    mean: float
    deviation: float | None
    count: int

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % t interval of the mean, low and high; None for one seed."""
        return self.interval_at(CONFIDENCE)

    def interval_at(self, confidence: float) -> tuple[float, float] | None:
        """The t interval that holds the mean with this probability; None for one seed."""
        if self.deviation is None:
            return None
        half = t_quantile(self.count - 1, confidence) * self.deviation / math.sqrt(self.count)
        return self.mean - half, self.mean + half


def summarize(values: Sequence[float]) -> Summary | None:
    """Mean and sample standard deviation; None of no values."""
    if not values:
        return None
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return Summary(statistics.fmean(values), deviation, len(values))


def paired_gain(ours: Mapping[int, float], theirs: Mapping[int, float]) -> Summary | None:
    """Summary of ours minus theirs over the seeds that both have.

    Runs of one seed share the initial backbone, the order of the images and their views, so the
    difference within a seed varies less than either accuracy does.
    """
    return summarize([ours[seed] - theirs[seed] for seed in sorted(ours.keys() & theirs.keys())])


def verdict(gain: Summary) -> Verdict:
    """What a paired gain shows: "better" or "worse" only if its 95 % interval leaves out 0.

    Differences that are all equal are "undecided" too: they say nothing about how much the next
    seed would vary, and on small test sets they come from rounding to whole images.
    """
    if gain.deviation is None or gain.interval is None:
        return "one seed"
    low, high = gain.interval
    if gain.deviation < EQUAL or low <= 0 <= high:
        return "undecided"
    return "better" if low > 0 else "worse"


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson, 1927), which also holds near 0 and 1.

    Raises:
        ValueError: If there was no trial, or there were fewer trials than successes.
    """
    if not 0 <= successes <= trials or trials == 0:
        raise ValueError(f"{successes} of {trials} is no share; at least 1 trial is needed.")
    z = statistics.NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    share, spread = successes / trials, z**2 / trials
    middle = (share + spread / 2) / (1 + spread)
    half = math.sqrt(share * (1 - share) * spread + spread**2 / 4) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)


def p_value(gain: Summary) -> float:
    """The probability of a mean as far from 0 without any effect, by Student's t, two-sided.

    1 for one seed, and for differences that are all equal: they say nothing, see `verdict`.
    """
    if gain.deviation is None or gain.deviation < EQUAL:
        return 1.0
    from scipy.special import stdtr

    distance = abs(gain.mean) * math.sqrt(gain.count) / gain.deviation
    return float(2 * stdtr(gain.count - 1, -distance))


def smallest_gain(deviation: float, count: int, *, level: float = 1 - CONFIDENCE) -> float:
    """The smallest true gain that a paired, two-sided t test finds with 80 % probability.

    To find is to tell its sign rightly. From the noncentral t distribution; in the units of
    `deviation`.

    Args:
        deviation: Of the paired differences between seeds.
        count: Number of seeds.
        level: Probability of a false verdict that the test allows.

    Raises:
        ValueError: If there are fewer than two seeds.
    """
    return deviation * _smallest_effect(count, level)


@cache
def _smallest_effect(count: int, level: float) -> float:
    """`smallest_gain` in standard deviations."""
    critical = t_quantile(count - 1, 1 - level)
    from scipy.optimize import brentq
    from scipy.stats import nct

    def too_often(shift: float) -> float:
        return float(nct.sf(critical, count - 1, shift) - POWER)

    return float(brentq(too_often, 0.0, 2 * critical + 3)) / math.sqrt(count)


@cache
def t_quantile(freedom: int, confidence: float = CONFIDENCE) -> float:
    """The t with P(-t <= T <= t) = confidence for Student's T of `freedom` degrees of freedom.

    Raises:
        ValueError: If there is no degree of freedom.
    """
    if freedom < 1:
        raise ValueError(f"freedom={freedom} must be at least 1: use two seeds or more.")
    from scipy.stats import t

    return float(t.ppf((1 + confidence) / 2, freedom))
