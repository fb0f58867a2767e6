"""Every paired comparison of the report's tables, once, in one table."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from df_heads.benchmarks.harness.base.text_table import markdown_table
from df_heads.benchmarks.harness.report.facts import short_budget
from df_heads.benchmarks.harness.report.sections import Section
from df_heads.benchmarks.harness.report.text import Table, tables
from df_heads.benchmarks.harness.tables.accuracy import LEGEND

ONE_SEED = "one seed"
# Columns whose cells need no name before them. The backbone is in the budget.
_PLAIN_LABELS = ("data", "setting", "size")


@dataclass(frozen=True)
class Comparison:
    """One paired gain, as its table has it.

    Attributes:
        what: Which head over which, and where.
        accuracy: Of which accuracy, such as "unsup.".
        gain: In points.
        interval: The 95 % interval; empty of one seed.
        verdict: See `statistics.verdict`, or "one seed".
        seeds: How many.
    """

    what: str
    accuracy: str
    gain: str
    interval: str
    verdict: str
    seeds: str


def comparisons(text: str) -> list[Comparison]:
    """The comparisons in the tables of a text: lines with "head", "over" and verdicts."""
    found = [
        comparison
        for table in tables(text)
        if {"head", "over", "verdict"} <= set(table.header)
        for row in table.rows
        for comparison in _of_row(table, row)
    ]
    return list(dict.fromkeys(found))


def _of_row(table: Table, row: Sequence[str]) -> Iterator[Comparison]:
    labels = table.header[: table.header.index("over") + 1]
    by_label = dict(zip(labels, row, strict=False))
    places = [
        cell if label in _PLAIN_LABELS else f"{label} {cell}"
        for label, cell in by_label.items()
        if label not in ("head", "over", "backbone") and cell
    ]
    what = f"{by_label['head']} over {by_label['over']}: {', '.join(places)}"
    seeds = row[table.header.index("seeds")] if "seeds" in table.header else ""
    for column, heading in enumerate(table.header):
        if heading.endswith(" gain"):
            gain, interval, verdict = row[column : column + 3]
            yield Comparison(what, heading.removesuffix(" gain"), gain, interval, verdict, seeds)


def summary(sections: Sequence[Section]) -> str:
    """The comparisons with two seeds or more, with their verdicts, then those with one."""
    every = [(section, found) for section in sections for found in comparisons(section.text)]
    judged = [pair for pair in every if pair[1].verdict != ONE_SEED]
    single = [pair for pair in every if pair[1].verdict == ONE_SEED]
    return "\n\n".join([_judged(judged), _single(single)])


def _judged(pairs: Sequence[tuple[Section, Comparison]]) -> str:
    if not pairs:
        return "No comparison has two seeds or more yet, so there is no verdict."
    counts = ", ".join(
        f"{sum(found.verdict == verdict for _, found in pairs)} {verdict}"
        for verdict in ("better", "worse", "undecided")
    )
    header = [
        "comparison", "accuracy", "gain", "95 % interval", "verdict", "seeds", "budget", "section",
    ]  # fmt: skip
    rows = [
        [
            found.what,
            found.accuracy,
            found.gain,
            found.interval,
            found.verdict,
            found.seeds,
            *_place(section),
        ]
        for section, found in pairs
    ]
    intro = f"Comparisons with two seeds or more: {counts}. {LEGEND}"
    return f"{intro}\n\n{markdown_table(header, rows)}"


def _single(pairs: Sequence[tuple[Section, Comparison]]) -> str:
    if not pairs:
        return "No comparison has one seed only."
    header = ["comparison", "accuracy", "gain", "verdict", "budget", "section"]
    rows = [
        [found.what, found.accuracy, found.gain, ONE_SEED, *_place(section)]
        for section, found in pairs
    ]
    return f"Comparisons with one seed, which decide nothing:\n\n{markdown_table(header, rows)}"


def _place(section: Section) -> list[str]:
    return [short_budget(section.records), section.link]
