"""The hypotheses of a protocol, tested on the runs that there are."""

from collections.abc import Mapping, Sequence

from df_heads.benchmarks.harness.base.statistics import paired_gain
from df_heads.benchmarks.harness.evaluate.standard import UNSUPERVISED
from df_heads.benchmarks.harness.plan.protocols import Protocol
from df_heads.benchmarks.harness.tables.blocks import Block, Paragraph
from df_heads.benchmarks.harness.tables.families import TestedGain, described_table, judged_table
from df_heads.benchmarks.harness.tables.runs import METRICS, Runs

#: What is judged: the accuracy that every ablation of the paper reports, and rates are tuned by.
JUDGED = UNSUPERVISED


def judged_blocks(protocol: Protocol, runs: Mapping[str, Runs], where: str) -> list[Block]:
    """The tables of one family: judged if all of its runs are there, else described.

    Args:
        protocol: The hypotheses and the seeds.
        runs: By family of heads, of one data set and size.
        where: Which data set and size, in words.
    """
    stated = set(protocol.seeds)
    complete = stated.intersection(*(one.accuracies(JUDGED) for one in runs.values()))
    family = (
        f"{where}: {len(protocol.hypotheses)} hypotheses on {JUDGED.removesuffix(' %')} accuracy, "
        f"stated for {len(stated)} seeds, {min(stated)} to {max(stated)}"
    )
    judged = _tested(protocol, runs, JUDGED)
    if complete == stated:
        blocks: list[Block] = [Paragraph(f"{family}; all are there."), *judged_table(judged)]
    else:
        note = f"{len(complete)} of them are complete, so there is no verdict yet."
        blocks = [Paragraph(f"{family}; {note}"), described_table(judged)]
    for column in METRICS:
        if column != JUDGED:
            name = column.removesuffix(" %")
            intro = f"{where}, {name} accuracy, which is described and not judged:"
            blocks += [Paragraph(intro), described_table(_tested(protocol, runs, column))]
    return blocks


def _tested(protocol: Protocol, runs: Mapping[str, Runs], column: str) -> Sequence[TestedGain]:
    stated = set(protocol.seeds)

    def accuracies(head: str) -> dict[int, float]:
        every = runs[head].accuracies(column)
        return {seed: value for seed, value in every.items() if seed in stated}

    return [
        TestedGain(
            one.asks, one.head, one.over, paired_gain(accuracies(one.head), accuracies(one.over))
        )
        for one in protocol.hypotheses
    ]
