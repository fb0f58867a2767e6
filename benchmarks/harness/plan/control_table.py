"""The cells and the text of a control suite."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

from df_heads.benchmarks.harness.base.experiment import UNTRAINED, Experiment
from df_heads.benchmarks.harness.base.statistics import verdict
from df_heads.benchmarks.harness.base.text_table import gain, interval, markdown_table
from df_heads.benchmarks.harness.evaluate.evaluation import Load
from df_heads.benchmarks.harness.plan import cells
from df_heads.benchmarks.harness.plan.control_suites import Suite, Variant
from df_heads.benchmarks.harness.sweep.jobs import Job
from df_heads.benchmarks.harness.tables.accuracy import (
    LEGEND,
    METRICS,
    REFERENCES,
    FilledRow,
    Row,
    accuracy_table,
)


@dataclass(frozen=True)
class Place:
    """One line of a suite: a variant on one data set, in one size.

    Attributes:
        experiments: Its cells, by seed.
    """

    dataset: str
    size: str
    variant: Variant
    experiments: dict[int, Experiment]

    @property
    def head(self) -> str:
        """The name of its head."""
        return head_name(self.variant.head, self.size)


def head_name(family: str, size: str) -> str:
    """A family's preset of a size."""
    return f"{family}-{size}"


def places(args: argparse.Namespace, suite: Suite) -> list[Place]:
    """Every variant on every data set in every size."""
    return [
        Place(
            dataset,
            size,
            variant,
            {seed: _experiment(args, dataset, size, variant, seed) for seed in args.seeds},
        )
        for dataset, size, variant in product(args.datasets, args.sizes, suite.variants(args))
    ]


def _experiment(
    args: argparse.Namespace, dataset: str, size: str, variant: Variant, seed: int
) -> Experiment:
    common = cells.cell(args, dataset, head_name(variant.head, size), seed)
    return replace(common, **variant.changes)


def suite_jobs(args: argparse.Namespace, suite: Suite) -> list[Job]:
    """The cells and their untrained backbones, one seed after the other."""
    lines = places(args, suite)
    jobs = []
    for seed in args.seeds:
        for line in lines:
            experiment = line.experiments[seed]
            jobs += [
                Job(experiment.untrained),
                cells.job(args, experiment, label=line.variant.setting),
            ]
    return list(dict.fromkeys(jobs))


def suite_table(args: argparse.Namespace, suite: Suite, load: Load) -> str:
    """The question, the accuracies, the paired gains and how to read them."""
    lines = places(args, suite)
    shows_setting = len({line.variant.setting for line in lines}) > 1
    labels = ["data", "setting"] if shows_setting else ["data"]
    accuracies = accuracy_table(
        labels, [FilledRow(row, load) for row in _rows(lines, shows_setting)]
    )
    gains = _gain_table(suite, lines, load)
    parts = [suite.question, suite.note(args), accuracies, *([gains, LEGEND] if gains else [])]
    return "\n\n".join(part for part in parts if part)


def _rows(lines: Sequence[Place], shows_setting: bool) -> list[Row]:
    """A row for each cell, once: settings that do not change a head share its cell."""
    rows: list[Row] = []
    for dataset in dict.fromkeys(line.dataset for line in lines):
        here = [line for line in lines if line.dataset == dataset]
        backbones = [_untrained(line) for line in here]
        several = any(backbone != backbones[0] for backbone in backbones)
        pairs = [
            (UNTRAINED, line.variant.setting if several else "", backbone)
            for line, backbone in zip(here, backbones, strict=True)
        ]
        pairs += [(line.head, line.variant.setting, line.experiments) for line in here]
        for head, setting, experiments in pairs:
            if not any(row.experiments == experiments for row in rows):
                labels = (dataset, setting) if shows_setting else (dataset,)
                rows.append(Row(labels, head, experiments))
    return rows


def _untrained(line: Place) -> dict[int, Experiment]:
    return {seed: experiment.untrained for seed, experiment in line.experiments.items()}


def _gain_table(suite: Suite, lines: Sequence[Place], load: Load) -> str:
    """Each head over the references of its setting, then each setting over the baselines."""
    rows, compared = [], []
    by_place = {
        (line.dataset, line.size, line.variant.setting, line.variant.head): line for line in lines
    }
    for line in lines:
        variant = line.variant
        others = {
            REFERENCES.get(head, head): (variant.setting, head)
            for head in suite.references
            if head != variant.head
        }
        others |= {name: (name, variant.head) for name in _baselines(suite, variant.setting)}
        for title, place in others.items():
            other = by_place.get((line.dataset, line.size, *place))
            if other is None or other.experiments == line.experiments:
                continue
            # Settings that do not change a head share its cell, and its gain over another's.
            if (pair := (line.experiments, other.experiments)) not in compared:
                compared.append(pair)
                rows += _gain_row(line, other, title, load)
    header = ["data", "setting", "size", "head", "over"]
    for column in METRICS:
        header += [f"{column.removesuffix(' %')} gain", "95 % interval", "verdict"]
    return markdown_table([*header, "seeds"], rows) if rows else ""


def _baselines(suite: Suite, setting: str) -> Sequence[str]:
    """What a setting is compared with; a baseline only with those before it."""
    names = suite.baselines
    return names[: names.index(setting)] if setting in names else names


def _gain_row(line: Place, other: Place, title: str, load: Load) -> list[list[str]]:
    """One line, or none if no seed of both was run."""
    ours, theirs = (FilledRow(Row((), p.head, p.experiments), load) for p in (line, other))
    row = [line.dataset, line.variant.setting, line.size, line.variant.head, title]
    for column in METRICS:
        summary = ours.gain(column, theirs)
        if summary is None:
            return []
        row += [gain(summary), interval(summary), verdict(summary)]
    return [[*row, str(len(ours.results.keys() & theirs.results.keys()))]]
