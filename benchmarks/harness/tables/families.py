"""The table of a family of hypotheses."""

from collections.abc import Sequence
from dataclasses import dataclass

from df_heads.benchmarks.harness.base.families import judge
from df_heads.benchmarks.harness.base.statistics import Summary
from df_heads.benchmarks.harness.tables.blocks import Block, Cell, Paragraph, Table
from df_heads.benchmarks.harness.tables.values import Gain, Interval, Number, Range

_LEGEND = (
    "Gains are in points, paired by seed. The family's intervals all hold the true gains with 95 % "
    "probability (Bonferroni); p is corrected for the family (Holm), and a verdict needs p of at "
    "most 0.05, so that without any effect a family has a false verdict in at most one case of 20. "
    "Found at 80 %: the smallest gain that the strictest step of the correction finds with 80 % "
    "probability at this spread between seeds."
)


@dataclass(frozen=True)
class TestedGain:
    """What became of one hypothesis.

    Attributes:
        asks: The question, in words.
        head: The one head.
        over: The other.
        gain: Over the seeds that were run; None of none.
    """

    asks: str
    head: str
    over: str
    gain: Summary | None


def judged_table(tested: Sequence[TestedGain]) -> list[Block]:
    """The verdicts on a complete family, and how to read them."""
    judged = judge([one.gain for one in tested if one.gain is not None])
    headings = ["question", "head", "over", "gain", "95 % interval", "family's interval", "p"]
    rows: list[list[Cell]] = [
        [
            *(one.asks, one.head, one.over),
            Gain(found.gain),
            Interval(found.gain),
            Range(*found.interval, "+.2f"),
            Number(found.p_value, ".3f"),
            found.verdict,
            Number(found.smallest, ".2f"),
        ]
        for one, found in zip(tested, judged, strict=True)
    ]
    return [Table([*headings, "verdict", "found at 80 %"], rows), Paragraph(_LEGEND)]


def described_table(tested: Sequence[TestedGain]) -> Table:
    """Gains without verdicts: of an incomplete family, or beside the accuracy that is judged."""
    rows: list[list[Cell]] = [
        [one.asks, one.head, one.over, *_described(one.gain)] for one in tested
    ]
    return Table(["question", "head", "over", "gain", "95 % interval", "seeds"], rows)


def _described(gain: Summary | None) -> list[Cell]:
    return ["not run", "", ""] if gain is None else [Gain(gain), Interval(gain), Number(gain.count)]
