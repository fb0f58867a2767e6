"""Every paired comparison of the report's tables, once, in one table."""

from collections.abc import Sequence

from df_heads.benchmarks.harness.report.facts import short_budget
from df_heads.benchmarks.harness.report.sections import Section
from df_heads.benchmarks.harness.tables.blocks import Block, Cell, Paragraph, Table
from df_heads.benchmarks.harness.tables.comparisons import LEGEND, Comparison, comparisons_in
from df_heads.benchmarks.harness.tables.values import Gain, Interval, Number

ONE_SEED = "one seed"

Found = Sequence[tuple[Section, Comparison]]


def summary(sections: Sequence[Section]) -> list[Block]:
    """The comparisons with two seeds or more, with their verdicts, then those with one."""
    every = [(section, one) for section in sections for one in comparisons_in(section.blocks)]
    judged = [pair for pair in every if pair[1].verdict != ONE_SEED]
    single = [pair for pair in every if pair[1].verdict == ONE_SEED]
    return [*_judged(judged), *_single(single)]


def _judged(found: Found) -> list[Block]:
    if not found:
        return [Paragraph("No comparison has two seeds or more yet, so there is no verdict.")]
    counts = ", ".join(
        f"{sum(one.verdict == verdict for _, one in found)} {verdict}"
        for verdict in ("better", "worse", "undecided")
    )
    headings = [
        "comparison", "accuracy", "gain", "95 % interval", "verdict", "seeds", "budget", "section",
    ]  # fmt: skip
    rows: list[list[Cell]] = [
        [
            one.title,
            one.accuracy,
            Gain(one.gain),
            Interval(one.gain),
            one.verdict,
            Number(one.gain.count),
            *_where(section),
        ]
        for section, one in found
    ]
    intro = f"Comparisons with two seeds or more: {counts}. {LEGEND}"
    return [Paragraph(intro), Table(headings, rows)]


def _single(found: Found) -> list[Block]:
    if not found:
        return [Paragraph("No comparison has one seed only.")]
    headings = ["comparison", "accuracy", "gain", "verdict", "budget", "section"]
    rows: list[list[Cell]] = [
        [one.title, one.accuracy, Gain(one.gain), one.verdict, *_where(section)]
        for section, one in found
    ]
    intro = "Comparisons with one seed, which decide nothing:"
    return [Paragraph(intro), Table(headings, rows)]


def _where(section: Section) -> list[Cell]:
    return [short_budget(section.files), section.link]
