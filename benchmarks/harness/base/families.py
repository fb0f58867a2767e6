"""Hypotheses that are judged together, so that the family has at most 5 % false verdicts."""

from collections.abc import Sequence
from dataclasses import dataclass

from df_heads.benchmarks.harness.base.statistics import (
    CONFIDENCE,
    Summary,
    Verdict,
    p_value,
    smallest_gain,
)


@dataclass(frozen=True)
class Judged:
    """One gain of a family.

    Attributes:
        gain: Over at least two seeds.
        interval: Of the mean, such that with 95 % probability those of all the family hold theirs
            (Bonferroni).
        p_value: Corrected for the family (Holm).
        verdict: What it shows.
        smallest: The smallest gain that would be found with 80 % probability in Holm's first and
            strictest step, in points.
    """

    gain: Summary
    interval: tuple[float, float]
    p_value: float
    verdict: Verdict
    smallest: float


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values corrected for their number: each may be compared with the level of the family.

    Holm's step-down procedure (1979) bounds the probability of one or more false verdicts, however
    the tests depend on each other. Of m values in rising order number i, from 0, is multiplied by
    m - i, and is at least as large as the corrected one before it.
    """
    corrected = [1.0] * len(p_values)
    largest = 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[index]))
        corrected[index] = largest
    return corrected


def judge(gains: Sequence[Summary]) -> list[Judged]:
    """The verdicts on a family of paired gains.

    Raises:
        ValueError: If one was taken over fewer than two seeds.
    """
    level = (1 - CONFIDENCE) / max(1, len(gains))
    judged = []
    for gain, corrected in zip(gains, holm([p_value(gain) for gain in gains]), strict=True):
        interval = gain.interval_at(1 - level)
        if gain.deviation is None or interval is None:
            raise ValueError(f"a gain over {gain.count} seed cannot be judged; use two or more.")
        found: Verdict = "better" if gain.mean > 0 else "worse"
        judged.append(
            Judged(
                gain,
                interval,
                corrected,
                found if corrected <= 1 - CONFIDENCE else "undecided",
                smallest_gain(gain.deviation, gain.count, level=level),
            )
        )
    return judged
