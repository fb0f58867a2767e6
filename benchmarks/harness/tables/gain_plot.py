"""Paired gains with their intervals, a row each, as a table and as a drawing within it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from itertools import groupby

from df_heads.benchmarks.harness.tables.blocks import Cell, Table
from df_heads.benchmarks.harness.tables.comparisons import Comparison
from df_heads.benchmarks.harness.tables.text import printable
from df_heads.benchmarks.harness.tables.values import Gain, Interval, Number

#: An interval may reach so many times the largest gain from 0; beyond it is cut off.
MOST = 4
_TICKS = 4


@dataclass(frozen=True)
class Scale:
    """An axis of points.

    Attributes:
        low: Its left end, at most 0.
        high: Its right end, at least 0.
        ticks: The numbers under it, 0 among them.
    """

    low: float
    high: float
    ticks: Sequence[float]

    def place(self, points: float) -> float:
        """Where it lies, in percent from the left, with a margin on both sides."""
        return 6 + 88 * (points - self.low) / (self.high - self.low)

    def inside(self, points: float) -> float:
        """The same, at the end of the axis for what lies beyond it."""
        return self.place(min(max(points, self.low), self.high))


def scale_of(comparisons: Sequence[Comparison]) -> Scale:
    """An axis that holds the gains and their intervals, but for intervals without a measure."""
    most = MOST * max((abs(one.gain.mean) for one in comparisons), default=0.0) or 1.0
    reached = [
        point
        for one in comparisons
        for point in (one.gain.interval or (one.gain.mean, one.gain.mean))
    ]
    low = max(min([0.0, *reached]), -most)
    high = min(max([0.0, *reached]), most)
    if high == low:
        low, high = -1.0, 1.0
    rough = (high - low) / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(nice * power for nice in (1, 2, 5, 10) if nice * power >= rough)
    first, last = math.floor(low / step), math.ceil(high / step)
    return Scale(first * step, last * step, [step * n for n in range(first, last + 1)])


@dataclass(frozen=True)
class GainPlot(Table):
    """Gains as a table, which HTML draws too.

    Attributes:
        comparisons: One for each row.
        scale: The axis.
    """

    comparisons: Sequence[Comparison]
    scale: Scale

    @property
    def titles(self) -> list[str]:
        """What each row compares; what all have in common is left out."""
        return [str(row[0]) for row in self.rows]


def gain_plot(comparisons: Sequence[Comparison], scale: Scale) -> GainPlot:
    """A row for each comparison."""
    headings = ["comparison", "accuracy", "gain", "95 % interval", "verdict", "seeds"]
    settings = [one.setting for one in comparisons]
    shared = {part for part in settings[0] if all(part in other for other in settings)}
    rows: list[list[Cell]] = [
        [
            replace(one, setting=tuple(part for part in one.setting if part not in shared)).title,
            one.accuracy,
            Gain(one.gain),
            Interval(one.gain),
            one.verdict,
            Number(one.gain.count),
        ]
        for one in comparisons
    ]
    return GainPlot(headings, rows, comparisons, scale)


def gain_plot_html(plot: GainPlot) -> str:
    """The table with the gains drawn; what a drawing shows is said when it is pointed at."""
    named = zip(plot.titles, plot.comparisons, strict=True)
    body = "\n".join(
        line
        for title, group in groupby(named, key=lambda pair: pair[0])
        for line in (
            f'<tr class="name"><th scope="rowgroup" colspan="3">{_escape(title)}</th></tr>',
            *(_row(title, one, plot.scale) for _, one in group),
        )
    )
    return (
        '<table class="gains">\n<thead><tr><th scope="col" class="accuracy">accuracy</th>'
        f'<th scope="col" class="drawn">{_axis(plot.scale)}</th>'
        '<th scope="col" class="gain">gain in points</th></tr></thead>\n'
        f"<tbody>\n{body}\n</tbody>\n</table>"
    )


def _row(title: str, one: Comparison, scale: Scale) -> str:
    interval = f"<span>{Interval(one.gain)}</span>" if one.gain.interval else ""
    return (
        f'<tr class="{one.verdict.replace(" ", "-")}">'
        f'<td class="accuracy">{_escape(one.accuracy)}</td>'
        f'<td class="drawn">{_drawing(title, one, scale)}</td>'
        f'<td class="gain"><strong>{Gain(one.gain)}</strong> <em>{one.verdict}</em> {interval}</td>'
        "</tr>"
    )


def _axis(scale: Scale) -> str:
    ticks = "".join(
        f'<text x="{scale.place(tick):.2f}%" y="75%" text-anchor="middle">{tick:+g}</text>'
        if tick
        else f'<text x="{scale.place(tick):.2f}%" y="75%" text-anchor="middle">0</text>'
        for tick in scale.ticks
    )
    return f"<svg>{ticks}</svg>"


def _drawing(title: str, one: Comparison, scale: Scale) -> str:
    seeds = f"{one.gain.count} seed{'s' * (one.gain.count > 1)}"
    interval = str(Interval(one.gain))
    said = (
        f"{title}, {one.accuracy}: {Gain(one.gain)} points"
        f"{f', 95 % interval {interval}' if interval else ''}, {seeds}: {one.verdict}"
    )
    zero = scale.place(0)
    parts = [
        f'<line class="zero" x1="{zero:.2f}%" x2="{zero:.2f}%" y1="0" y2="100%"/>',
        *_interval(one, scale),
        f'<circle cx="{scale.inside(one.gain.mean):.2f}%" cy="50%" r="4.5"/>',
    ]
    return f'<svg role="img"><title>{_escape(said)}</title>{"".join(parts)}</svg>'


def _interval(one: Comparison, scale: Scale) -> list[str]:
    """A line with an end where the interval ends, and without one where it is cut off."""
    if one.gain.interval is None:
        return []
    low, high = map(scale.inside, one.gain.interval)
    ends = [
        f'<line x1="{place:.2f}%" x2="{place:.2f}%" y1="35%" y2="65%"/>'
        for place, point in zip((low, high), one.gain.interval, strict=True)
        if scale.low <= point <= scale.high
    ]
    return [f'<line x1="{low:.2f}%" x2="{high:.2f}%" y1="50%" y2="50%"/>', *ends]


def _escape(text: str) -> str:
    return escape(printable(text))
