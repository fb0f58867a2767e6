"""The hypotheses of a protocol, tested on the runs that there are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from df_heads.benchmarks.harness.base.families import judge
from df_heads.benchmarks.harness.base.statistics import paired_gain
from df_heads.benchmarks.harness.evaluate.evaluation import Load
from df_heads.benchmarks.harness.evaluate.standard import UNSUPERVISED
from df_heads.benchmarks.harness.plan.protocols import Protocol
from df_heads.benchmarks.harness.plots.hypotheses import HypothesisLine, HypothesisPanel
from df_heads.benchmarks.harness.tables.blocks import Block, Paragraph
from df_heads.benchmarks.harness.tables.families import TestedGain, described_table, judged_table
from df_heads.benchmarks.harness.tables.runs import METRICS, Configuration, Runs

#: What is judged: the accuracy that every ablation of the paper reports, and rates are tuned by.
JUDGED = UNSUPERVISED


@dataclass(frozen=True)
class Family:
    """The hypotheses of a protocol on one data set, with heads of one size.

    Attributes:
        protocol: The hypotheses and the seeds.
        where: Which data set and size, in words.
        runs: By family of heads.
    """

    protocol: Protocol
    where: str
    runs: Mapping[str, Runs]

    @property
    def complete_seeds(self) -> set[int]:
        """The stated seeds of which every head was run."""
        of_heads = (one.accuracies(JUDGED) for one in self.runs.values())
        return set(self.protocol.seeds).intersection(*of_heads)

    @property
    def complete(self) -> bool:
        """Whether every stated seed was run, so that there are verdicts."""
        return self.complete_seeds == set(self.protocol.seeds)

    def tested(self, column: str = JUDGED) -> list[TestedGain]:
        """The gains in an accuracy, over the stated seeds that were run."""
        stated = set(self.protocol.seeds)

        def accuracies(head: str) -> dict[int, float]:
            every = self.runs[head].accuracies(column)
            return {seed: value for seed, value in every.items() if seed in stated}

        return [
            TestedGain(
                one.asks,
                one.head,
                one.over,
                paired_gain(accuracies(one.head), accuracies(one.over)),
            )
            for one in self.protocol.hypotheses
        ]


def families(
    protocol: Protocol, configurations: Sequence[Configuration], load: Load
) -> list[Family]:
    """A family for each data set and size of the configurations."""
    found: dict[str, dict[str, Runs]] = {}
    for one in configurations:
        where = f"{one.labels[0]}, {one.size} heads"
        found.setdefault(where, {})[one.family] = Runs(one, load)
    return [Family(protocol, where, runs) for where, runs in found.items()]


def judged_blocks(family: Family) -> list[Block]:
    """The tables of a family: judged if all of its runs are there, else described."""
    seeds, where = family.protocol.seeds, family.where
    stated = (
        f"{where}: {len(family.protocol.hypotheses)} hypotheses on {_name(JUDGED)} accuracy, "
        f"stated for {len(seeds)} seeds, {min(seeds)} to {max(seeds)}"
    )
    blocks: list[Block] = []
    if family.complete:
        blocks += [Paragraph(f"{stated}; all are there."), *judged_table(family.tested())]
    else:
        count = len(family.complete_seeds)
        note = f"{count} of them are complete, so there is no verdict yet."
        blocks += [Paragraph(f"{stated}; {note}"), described_table(family.tested())]
    for column in METRICS:
        if column != JUDGED:
            intro = f"{where}, {_name(column)} accuracy, which is described and not judged:"
            blocks += [Paragraph(intro), described_table(family.tested(column))]
    return blocks


def judged_panel(family: Family) -> HypothesisPanel:
    """The gains of a family for its figure, with the family's intervals if it is complete."""
    tested = family.tested()
    gains = [one.gain for one in tested if one.gain is not None]
    judged = judge(gains) if family.complete else [None] * len(tested)
    count = len(family.complete_seeds)
    return HypothesisPanel(
        f"{family.where}: {count} of {len(family.protocol.seeds)} seeds",
        _name(JUDGED),
        [
            HypothesisLine(f"{one.head}\nover {one.over}", one.gain, found)
            for one, found in zip(tested, judged, strict=True)
        ],
    )


def _name(column: str) -> str:
    return column.removesuffix(" %")
