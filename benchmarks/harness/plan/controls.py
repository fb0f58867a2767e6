"""The runs, the tables and the figure of a control suite."""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

from df_heads.benchmarks.harness.base.experiment import UNTRAINED, Experiment
from df_heads.benchmarks.harness.evaluate.evaluation import Load
from df_heads.benchmarks.harness.plan import cells
from df_heads.benchmarks.harness.plan.control_suites import Suite, Variant
from df_heads.benchmarks.harness.plots.losses import LossCurve, LossPanel, draw_losses, load_losses
from df_heads.benchmarks.harness.store.results import ResultFolder
from df_heads.benchmarks.harness.sweep.jobs import Job
from df_heads.benchmarks.harness.tables.accuracy import REFERENCES, accuracy_table
from df_heads.benchmarks.harness.tables.blocks import Block, Paragraph
from df_heads.benchmarks.harness.tables.comparisons import Comparison, gains_with_legend
from df_heads.benchmarks.harness.tables.runs import Configuration, Runs


def configurations(args: argparse.Namespace, suite: Suite) -> list[Configuration]:
    """Every variant on every data set in every size, labelled with data set and setting."""
    return [
        Configuration(
            (dataset, variant.setting),
            f"{variant.head}-{size}",
            {seed: _experiment(args, dataset, size, variant, seed) for seed in args.seeds},
            cells.metrics(args),
        )
        for dataset, size, variant in product(args.datasets, args.sizes, suite.variants(args))
    ]


def _experiment(
    args: argparse.Namespace, dataset: str, size: str, variant: Variant, seed: int
) -> Experiment:
    common = cells.cell(args, dataset, f"{variant.head}-{size}", seed)
    return replace(common, **variant.changes)


def suite_jobs(args: argparse.Namespace, suite: Suite) -> list[Job]:
    """The runs and their untrained backbones, one seed after the other."""
    every = configurations(args, suite)
    jobs = []
    for seed in args.seeds:
        for one in every:
            experiment, (_, setting) = one.experiments[seed], one.labels
            jobs += [Job(experiment.untrained), cells.job(args, experiment, label=setting)]
    return list(dict.fromkeys(jobs))


def suite_table(args: argparse.Namespace, name: str, suite: Suite, load: Load) -> list[Block]:
    """The question, the accuracies, the paired gains and how to read them."""
    every = configurations(args, suite)
    headings = ["data", "setting"] if _has_settings(every) else ["data"]
    rows = [
        Runs(replace(one, labels=one.labels[: len(headings)]), load)
        for one in _with_backbones(every)
    ]
    note = suite.note(args)
    return [
        Paragraph(f"{name}: {suite.question}"),
        *([Paragraph(note)] if note else []),
        accuracy_table(headings, rows),
        *gains_with_legend(_comparisons(suite, every, load)),
    ]


def _has_settings(every: Sequence[Configuration]) -> bool:
    return len({one.labels[1] for one in every}) > 1


def _with_backbones(every: Sequence[Configuration]) -> list[Configuration]:
    """The untrained backbones of each data set, then its heads.

    Settings that do not change a head share its runs, which come once.
    """
    rows: list[Configuration] = []
    for dataset in dict.fromkeys(one.labels[0] for one in every):
        here = [one for one in every if one.labels[0] == dataset]
        backbones = [_untrained(one) for one in here]
        if all(one.experiments == backbones[0].experiments for one in backbones):
            backbones = [replace(backbones[0], labels=(dataset, ""))]
        for one in (*backbones, *here):
            if not any(row.experiments == one.experiments for row in rows):
                rows.append(one)
    return rows


def _untrained(one: Configuration) -> Configuration:
    backbones = {seed: experiment.untrained for seed, experiment in one.experiments.items()}
    return replace(one, head=UNTRAINED, experiments=backbones)


def _comparisons(suite: Suite, every: Sequence[Configuration], load: Load) -> list[Comparison]:
    """Each head over the references of its setting, then each setting over the baselines."""
    found: list[Comparison] = []
    compared: list[tuple[Mapping[int, Experiment], Mapping[int, Experiment]]] = []
    by_labels = {(one.labels, one.head): one for one in every}
    for one in every:
        (dataset, setting), size = one.labels, one.size
        for over, labels, head in _references(suite, one):
            other = by_labels.get((labels, head))
            if other is None or other.experiments == one.experiments:
                continue
            # Settings that do not change a head share its runs, and its gain over another's.
            if (pair := (one.experiments, other.experiments)) not in compared:
                compared.append(pair)
                found += Runs(one, load).compare(
                    Runs(other, load),
                    head=one.family,
                    over=over,
                    setting=(("data", dataset), ("setting", setting), ("size", size)),
                )
    return found


def _references(suite: Suite, one: Configuration) -> Iterator[tuple[str, tuple[str, str], str]]:
    """What a configuration is compared with: in words, its labels and its head.

    A baseline setting is compared only with those before it.
    """
    dataset, setting = one.labels
    for family in suite.references:
        if family != one.family:
            yield REFERENCES.get(family, family), (dataset, setting), f"{family}-{one.size}"
    names = suite.baselines
    for name in names[: names.index(setting)] if setting in names else names:
        yield name, (dataset, name), one.head


def draw_suite(
    args: argparse.Namespace, suite: Suite, results: ResultFolder, stem: Path
) -> list[Path]:
    """One panel for each data set, size and method: the losses of different methods differ.

    A sequence of both views can lower its loss by copying one view into the other, without better
    features, so a suite is read with its losses beside its accuracies.

    Args:
        args: The parsed flags.
        suite: What to draw.
        results: Where the curves are.
        stem: The files to write, without their endings.

    Returns:
        The files.
    """
    by_panel: dict[str, list[Configuration]] = {}
    for one in configurations(args, suite):
        title = f"{one.labels[0]}, {one.size} heads, {one.method}"
        by_panel.setdefault(title, []).append(one)
    return draw_losses(
        stem, [LossPanel(title, _curves(every, results)) for title, every in by_panel.items()]
    )


def _curves(every: Sequence[Configuration], results: ResultFolder) -> list[LossCurve]:
    has_settings = _has_settings(every)
    curves, drawn = [], []
    for one in every:
        if one.experiments in drawn:
            continue
        drawn.append(one.experiments)
        loaded = (load_losses(results, experiment) for experiment in one.experiments.values())
        label = f"{one.family}, {one.labels[1]}" if has_settings else one.family
        curves.append(LossCurve(label, [losses for losses in loaded if losses]))
    return curves
