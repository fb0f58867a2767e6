"""Line charts as data, and as SVG whose colours the page decides."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

Kind = Literal["main", "control", "level"]

WIDTH, HEIGHT = 440, 280
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 14, 46
_MOST_DOTS = 40
_STEPS = [m * 10**power for power in range(9) for m in (1, 2, 5)]


@dataclass(frozen=True)
class Line:
    """One line.

    Attributes:
        name: For the legend.
        values: One for each x; None or NaN is a gap.
        kind: What is measured, a control, or a level that is the same everywhere.
    """

    name: str
    values: Sequence[float | None]
    kind: Kind = "main"


@dataclass(frozen=True)
class Chart:
    """A chart of lines over whole numbers.

    Attributes:
        name: Of its file.
        title: What it shows, in a sentence: its alternative text, too.
        x_label: Of the numbers.
        y_label: Of the values, with the unit.
        xs: Whole numbers, ascending.
        lines: One or more.
        from_zero: Whether the values start at 0, so that small differences look small.
    """

    name: str
    title: str
    x_label: str
    y_label: str
    xs: Sequence[int]
    lines: Sequence[Line]
    from_zero: bool = False

    @property
    def range(self) -> tuple[float, float]:
        """Of the values, with a margin."""
        every = [value for line in self.lines for value in line.values if value is not None]
        found = [value for value in every if math.isfinite(value)]
        low, high = (min(found), max(found)) if found else (0.0, 1.0)
        if self.from_zero:
            return 0.0, 1.12 * high or 1.0
        margin = 0.08 * (high - low) or 0.05 * abs(high) or 0.5
        return low - margin, high + margin

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Pixels of a point."""
        (low, high), span = self.range, max(self.xs[-1] - self.xs[0], 1)
        share = (x - self.xs[0]) / span if len(self.xs) > 1 else 0.5
        return (
            LEFT + share * (WIDTH - LEFT - RIGHT),
            TOP + (high - y) / (high - low) * (HEIGHT - TOP - BOTTOM),
        )

    @property
    def has_dots(self) -> bool:
        """Whether the points are few enough to be told apart."""
        return len(self.xs) <= _MOST_DOTS

    @property
    def x_ticks(self) -> list[int]:
        """The first number, and round ones after it."""
        first, last = self.xs[0], self.xs[-1]
        step = next(s for s in _STEPS if s * 5 >= last - first)
        round_ones = range(first // step * step + step, last + 1, step)
        return [first, *(x for x in round_ones if x - first > step / 2)]

    @property
    def y_ticks(self) -> list[float]:
        """Round numbers within the range."""
        low, high = self.range
        rough = (high - low) / 4
        power = 10 ** math.floor(math.log10(rough))
        step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough)
        first = math.ceil(low / step)
        return [round(i * step, 10) for i in range(first, math.floor(high / step) + 1)]

    def runs(self, line: Line) -> list[list[tuple[float, float]]]:
        """Pixels of the points of a line, cut at gaps."""
        found: list[list[tuple[float, float]]] = [[]]
        for x, value in zip(self.xs, line.values, strict=True):
            if value is None or not math.isfinite(value):
                found.append([])
            else:
                found[-1].append(self.place(x, value))
        return [run for run in found if run]


def level(name: str, value: float, xs: Sequence[int]) -> Line:
    """A line that is the same everywhere."""
    return Line(name, [value] * len(xs), "level")


def svg(chart: Chart) -> str:
    """A chart as SVG; what is dashed or grey comes from the classes."""
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(chart.title)}">'
    ]
    for tick in chart.y_ticks:
        _, y = chart.place(chart.xs[0], tick)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 7}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
    for x in chart.x_ticks:
        at, _ = chart.place(x, 0)
        parts.append(f'<text x="{at:.1f}" y="{bottom + 18}" text-anchor="middle">{x}</text>')
    middle = (LEFT + right) / 2
    parts.append(
        f'<text x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">{escape(chart.x_label)}</text>'
    )
    parts.append(
        f'<text transform="translate(14 {(TOP + bottom) / 2}) rotate(-90)" '
        f'text-anchor="middle">{escape(chart.y_label)}</text>'
    )
    for line in chart.lines:
        for run in chart.runs(line):
            points = " ".join(f"{x:.1f},{y:.1f}" for x, y in run)
            parts.append(f'<polyline class="{line.kind}" points="{points}"/>')
            if line.kind == "main" and chart.has_dots:
                parts += [f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in run]
    return "".join([*parts, "</svg>"])


def legend(chart: Chart) -> str:
    """The names of the lines, as HTML."""
    items = "".join(
        f'<li><span class="key {line.kind}"></span>{escape(line.name)}</li>' for line in chart.lines
    )
    return f'<ul class="legend">{items}</ul>'
