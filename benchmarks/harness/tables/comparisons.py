"""Paired comparisons as data, and the table that shows them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from df_heads.benchmarks.harness.base.names import spoken
from df_heads.benchmarks.harness.base.statistics import Summary, Verdict, verdict
from df_heads.benchmarks.harness.tables.blocks import Block, Cell, Details, Paragraph, Table
from df_heads.benchmarks.harness.tables.values import Gain, Interval, Number

#: Stands under every table with verdicts.
LEGEND = (
    "Gains are in points, paired by seed, with Student's t interval. Each verdict stands alone: of "
    "20 without any effect, about one is called better or worse by chance."
)
# Headings whose values need no name before them in a sentence.
_SPEAKING = ("data", "setting", "size")


@dataclass(frozen=True)
class Comparison:
    """One head over another, or one setting of a head over another, paired by seed.

    Attributes:
        what: The head, or the setting where the head is the same.
        over: What it is compared with, of the same kind.
        setting: What both have in common, as (heading, value): data, size and so on; the head too
            where settings are compared.
        accuracy: Which accuracy, such as "unsup.".
        gain: In points.
    """

    what: str
    over: str
    setting: tuple[tuple[str, str], ...]
    accuracy: str
    gain: Summary

    @property
    def verdict(self) -> Verdict:
        """What the gain shows."""
        return verdict(self.gain)

    @property
    def title(self) -> str:
        """What over what and where; the backbone is told by the budget."""
        words = [
            value if heading in _SPEAKING else f"{heading} {value}"
            for heading, value in self.setting
            if value and heading != "backbone"
        ]
        over = f"{spoken(self.what)} over {spoken(self.over)}"
        return f"{over}: {', '.join(words)}" if words else over


@dataclass(frozen=True)
class GainTable(Table):
    """A table of comparisons, which keeps them."""

    comparisons: Sequence[Comparison]


def gain_table(comparisons: Sequence[Comparison]) -> GainTable:
    """A row for each pair, its accuracies side by side.

    Args:
        comparisons: One or more, with the same headings in their settings.
    """
    pairs: dict[tuple[object, ...], dict[str, Comparison]] = {}
    for one in comparisons:
        pairs.setdefault((one.setting, one.what, one.over), {})[one.accuracy] = one
    accuracies = list(dict.fromkeys(one.accuracy for one in comparisons))
    headings = [heading for heading, _ in comparisons[0].setting] + ["what", "over"]
    for accuracy in accuracies:
        headings += [f"{accuracy} gain", "95 % interval", "verdict"]
    rows = [_row(pair, accuracies) for pair in pairs.values()]
    return GainTable([*headings, "seeds"], rows, comparisons)


def _row(pair: Mapping[str, Comparison], accuracies: Sequence[str]) -> list[Cell]:
    first = next(iter(pair.values()))
    cells: list[Cell] = [*(value for _, value in first.setting), first.what, first.over]
    for accuracy in accuracies:
        one = pair.get(accuracy)
        cells += [Gain(one.gain), Interval(one.gain), one.verdict] if one else ["", "", ""]
    return [*cells, Number(first.gain.count)]


def gains_with_legend(comparisons: Sequence[Comparison]) -> list[Block]:
    """The table and how to read it; nothing of no comparisons."""
    return [gain_table(comparisons), Paragraph(LEGEND)] if comparisons else []


def comparisons_in(blocks: Iterable[Block]) -> list[Comparison]:
    """Every comparison of a document, once."""
    found: dict[Comparison, None] = {}
    for block in blocks:
        match block:
            case GainTable():
                found |= dict.fromkeys(block.comparisons)
            case Details():
                found |= dict.fromkeys(comparisons_in(block.blocks))
    return list(found)
