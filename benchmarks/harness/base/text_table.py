"""Tables as Markdown, which reads well on a terminal too."""

from collections.abc import Sequence

from df_heads.benchmarks.harness.base.statistics import Summary

NOT_RUN = "not run"


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with aligned columns; numbers to the right."""
    table = [list(header), *map(list, rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    right = [_is_numeric([row[column] for row in rows]) for column in range(len(header))]

    def line(row: Sequence[str]) -> str:
        cells = [
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(row, widths, right, strict=True)
        ]
        return f"| {' | '.join(cells)} |"

    rule = [
        "-" * (width - 1) + (":" if to_right else "-")
        for width, to_right in zip(widths, right, strict=True)
    ]
    return "\n".join([line(header), f"| {' | '.join(rule)} |", *map(line, rows)])


def _is_numeric(cells: Sequence[str]) -> bool:
    return any(cell[:1].isdigit() or (cell[:1] in "+-" and cell[1:2].isdigit()) for cell in cells)


def percent(summary: Summary | None) -> str:
    """Mean and deviation over seeds, in percent; "not run" of nothing."""
    if summary is None:
        return NOT_RUN
    return f"{summary.mean:.2f}" + _deviation(summary)


def gain(summary: Summary | None) -> str:
    """A paired difference in points, with its sign; empty of nothing."""
    return "" if summary is None else f"{summary.mean:+.2f}"


def interval(summary: Summary | None) -> str:
    """The 95 % interval of a difference; empty of one seed or nothing."""
    if summary is None or summary.interval is None:
        return ""
    low, high = summary.interval
    return f"{low:+.2f} to {high:+.2f}"


def _deviation(summary: Summary) -> str:
    return "" if summary.deviation is None else f" ± {summary.deviation:.2f}"


def duration(seconds: float | None) -> str:
    """Seconds, minutes or hours, whichever reads best; empty of None."""
    if seconds is None:
        return ""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 6000:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.2f} h"


def millions(count: int | None) -> str:
    """A number of parameters in millions; empty of None or 0."""
    return f"{count / 1e6:.2f}M" if count else ""
