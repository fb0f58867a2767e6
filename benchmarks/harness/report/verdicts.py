"""What all paired comparisons of the report's tables come to: the verdict, then each of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from df_heads.benchmarks.harness.base.names import UNIFORM
from df_heads.benchmarks.harness.report.facts import joined, short_budget
from df_heads.benchmarks.harness.report.sections import Section
from df_heads.benchmarks.harness.tables.accuracy import REFERENCES
from df_heads.benchmarks.harness.tables.blocks import (
    Block,
    Details,
    Inline,
    Lead,
    Paragraph,
    Strong,
    Text,
)
from df_heads.benchmarks.harness.tables.comparisons import LEGEND, Comparison, comparisons_in
from df_heads.benchmarks.harness.tables.gain_plot import Scale, gain_plot, scale_of
from df_heads.benchmarks.harness.tables.values import Gain, Interval

ONE_SEED = "one seed"
#: The paper's head, of which the verdict speaks.
HEAD = "transformer"
#: Beyond so many gains a sentence gives their range.
FEW = 2
NO_VERDICT = "No comparison has two seeds or more yet, so there is no verdict."
HEADS = (
    '"Attention off" is the Transformer whose samples each attend to themselves only, "uniform '
    'attention" the one whose samples attend to all alike, so that it finds nobody, and "tied '
    'attention" the one with the same weights for queries and keys.'
)


@dataclass(frozen=True)
class Claim:
    """What a comparison of the paper's head tells.

    Attributes:
        subject: What helps or does not.
        over: What the head is compared with, as comparisons have it.
        words: The same in words.
    """

    subject: str
    over: str
    words: str


_FEEDFORWARD, _OFF = REFERENCES.values()
CLAIMS = (
    Claim("Attending over the batch", _OFF, "the same head with its attention off"),
    Claim("Choosing whom to attend to", UNIFORM, "uniform attention, which finds nobody"),
    Claim("The whole head", _FEEDFORWARD, "a feed-forward head"),
)


def verdict_lines(sections: Sequence[Section]) -> list[Block]:
    """By budget a sentence for each claim, from the comparisons with two seeds or more.

    The budget with the most seeds comes first.
    """
    leads: list[tuple[int, Block]] = []
    for section in sections:
        judged = [one for one in comparisons_in(section.blocks) if one.verdict != ONE_SEED]
        about = [
            (claim, [one for one in judged if (one.what, one.over) == (HEAD, claim.over)])
            for claim in CLAIMS
        ]
        lines = [_line(claim, found) for claim, found in about if found]
        if lines:
            every = [one for _, found in about for one in found]
            budget = f"{short_budget(section.files)}, {_seeds(every)}. {section.of_the_paper}"
            lead = Lead(*lines, (section.link, f": {budget.rstrip()}"))
            leads.append((max(one.gain.count for one in every), lead))
    leads.sort(key=lambda pair: -pair[0])
    return [lead for _, lead in leads] or [Lead(NO_VERDICT)]


def _line(claim: Claim, found: Sequence[Comparison]) -> Text:
    return Strong(f"{claim.subject} {_effect(found)}"), f": {_gains(found)} over {claim.words}."


def _effect(found: Sequence[Comparison]) -> str:
    verdicts = {one.verdict for one in found}
    if verdicts == {"better"}:
        return "helped"
    if verdicts == {"worse"}:
        return "hurt"
    if verdicts == {"undecided"}:
        return "neither helped nor hurt beyond chance"
    if {"better", "worse"} <= verdicts:
        return "helped in places and hurt in others"
    return "helped in places" if "better" in verdicts else "hurt in places"


def _gains(found: Sequence[Comparison]) -> str:
    if len(found) > FEW:
        gains = sorted((one.gain for one in found), key=lambda gain: gain.mean)
        return f"{Gain(gains[0])} to {Gain(gains[-1])} points in {len(gains)} comparisons"
    return " and ".join(
        f"{Gain(one.gain)} points {one.accuracy} ({Interval(one.gain)})" for one in found
    )


def _seeds(found: Sequence[Comparison]) -> str:
    counts = sorted({one.gain.count for one in found})
    return f"{' or '.join(map(str, counts))} paired seeds"


def summary(sections: Sequence[Section]) -> list[Block]:
    """The comparisons with two seeds or more by budget, all on one axis, then those with one."""
    every = [(section, comparisons_in(section.blocks)) for section in sections]
    judged = _only(every, judged=True)
    single = _only(every, judged=False)
    return [*_judged(judged), *_single(single)]


_Found = Sequence[tuple[Section, Sequence[Comparison]]]


def _only(every: _Found, *, judged: bool) -> _Found:
    kept = [
        (section, [one for one in found if (one.verdict != ONE_SEED) == judged])
        for section, found in every
    ]
    return [(section, found) for section, found in kept if found]


def _judged(found: _Found) -> list[Block]:
    every = [one for _, comparisons in found for one in comparisons]
    if not every:
        return [Paragraph(NO_VERDICT)]
    counts = ", ".join(
        f"{sum(one.verdict == verdict for one in every)} {verdict}"
        for verdict in ("better", "worse", "undecided")
    )
    return [
        Paragraph((Strong(f"Comparisons with two seeds or more: {counts}."), f" {LEGEND}")),
        Paragraph(HEADS),
        *_plots(found, scale_of(every)),
    ]


def _single(found: _Found) -> list[Block]:
    every = [one for _, comparisons in found for one in comparisons]
    if not every:
        return [Paragraph("No comparison has one seed only.")]
    title = f"Comparisons with one seed, which decide nothing: {len(every)}"
    return [Details(title, _plots(found, scale_of(every)))]


def _plots(found: _Found, scale: Scale) -> list[Block]:
    return [
        block
        for section, comparisons in found
        for block in (Paragraph(_where(section)), gain_plot(comparisons, scale))
    ]


def _where(section: Section) -> list[Inline]:
    budget = short_budget(section.files)
    return joined(": ", [*([[Strong(budget)]] if budget else []), [section.link]])
