"""The runs, the tables and the figure of a control suite."""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

from df_heads.benchmarks.harness.base.experiment import UNTRAINED, Experiment
from df_heads.benchmarks.harness.evaluate.evaluation import Load
from df_heads.benchmarks.harness.plan import cells
from df_heads.benchmarks.harness.plan.benchmark import Drawn
from df_heads.benchmarks.harness.plan.control_suites import Suite, Variant
from df_heads.benchmarks.harness.plan.judging import Family, families, judged_blocks, judged_panel
from df_heads.benchmarks.harness.plots.hypotheses import draw_hypotheses
from df_heads.benchmarks.harness.plots.losses import LossCurve, load_losses
from df_heads.benchmarks.harness.plots.suite import SuitePanel, draw_suite_panels
from df_heads.benchmarks.harness.store.results import ResultFolder
from df_heads.benchmarks.harness.sweep.jobs import Job
from df_heads.benchmarks.harness.tables.accuracy import REFERENCES, accuracy_table, before
from df_heads.benchmarks.harness.tables.blocks import Block, Paragraph
from df_heads.benchmarks.harness.tables.comparisons import Comparison, gains_with_legend
from df_heads.benchmarks.harness.tables.runs import METRICS, Configuration, Runs


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
        *(block for family in _families(suite, every, load) for block in judged_blocks(family)),
    ]


def _families(suite: Suite, every: Sequence[Configuration], load: Load) -> list[Family]:
    return [] if suite.protocol is None else families(suite.protocol, every, load)


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
        for pair in _pairs(suite, one):
            other = by_labels.get(pair.other)
            if other is None or other.experiments == one.experiments:
                continue
            # Settings that do not change a head share its runs, and its gain over another's.
            if (experiments := (one.experiments, other.experiments)) not in compared:
                compared.append(experiments)
                found += Runs(one, load).compare(
                    Runs(other, load),
                    what=pair.what,
                    over=pair.over,
                    setting=(
                        ("data", one.labels[0]),
                        ("setting", pair.shared),
                        ("size", one.size),
                    ),
                )
    return found


@dataclass(frozen=True)
class _Pair:
    """What a configuration is compared with.

    Attributes:
        what: The configuration in words: its head, or its setting.
        over: The other one's.
        shared: What both have: their setting, or their head.
        other: The other one's labels and head.
    """

    what: str
    over: str
    shared: str
    other: tuple[tuple[str, str], str]


def _pairs(suite: Suite, one: Configuration) -> Iterator[_Pair]:
    """Heads over heads in one setting, then settings over settings of one head."""
    dataset, setting = one.labels
    for family in before(one.family, suite.references):
        over = REFERENCES.get(family, family)
        yield _Pair(one.family, over, setting, ((dataset, setting), f"{family}-{one.size}"))
    for name in before(setting, suite.baselines):
        yield _Pair(setting, name, f"{one.family} head", ((dataset, name), one.head))


def draw_suite(
    args: argparse.Namespace, suite: Suite, results: ResultFolder, stem: Path
) -> list[Path]:
    """One row for each data set, size and method: the losses of different methods differ.

    A sequence of both views can lower its loss by copying one view into the other, without better
    features, so a suite is read with its losses beside its accuracies.

    Args:
        args: The parsed flags.
        suite: What to draw.
        results: Where the results and their curves are.
        stem: The files to write, without their endings.

    Returns:
        The files.
    """
    by_panel: dict[str, list[Configuration]] = {}
    every = configurations(args, suite)
    for one in every:
        title = f"{one.labels[0]}, {one.size} heads, {one.method}"
        here = by_panel.setdefault(title, [])
        # Settings that do not change a head share its runs, which are drawn once.
        if not any(other.experiments == one.experiments for other in here):
            here.append(one)
    panels = [_panel(title, here, results) for title, here in by_panel.items()]
    files = draw_suite_panels(stem, panels)
    if found := _families(suite, every, results.load):
        files += draw_hypotheses(gains_stem(stem), [judged_panel(family) for family in found])
    return files


def gains_stem(stem: Path) -> Path:
    """The second figure of a suite with a protocol: the gains of its hypotheses."""
    return stem.with_name(f"{stem.name}-gains")


def _panel(title: str, every: Sequence[Configuration], results: ResultFolder) -> SuitePanel:
    found = [Runs(one, results.load) for one in every]
    return SuitePanel(
        title,
        [_curve(one, results) for one in every],
        {column: [list(runs.accuracies(column).values()) for runs in found] for column in METRICS},
        _collapse_losses(found),
    )


def suite_figures(
    args: argparse.Namespace, suite: Suite, results: ResultFolder, stem: Path
) -> list[Drawn]:
    """What `draw_suite` draws, in words."""
    every = configurations(args, suite)
    run = [runs for runs in (Runs(one, results.load) for one in every) if runs.results]
    drawn = Drawn(
        f"{stem}.png",
        "Left: the training loss by epoch, the mean over seeds and each seed thinly; the dashed "
        "line is the loss of projections that are all parallel. Right: the accuracies with their "
        "95 % t intervals.",
        " ".join(_seen(run)) if run else "Nothing was run.",
    )
    found = _families(suite, every, results.load)
    return [drawn, *([_drawn_gains(gains_stem(stem), found)] if found else [])]


def _drawn_gains(stem: Path, found: Sequence[Family]) -> Drawn:
    gains = [
        f"{one.head} over {one.over} {one.gain.mean:+.2f}"
        for family in found
        for one in family.tested()
        if one.gain is not None
    ]
    return Drawn(
        f"{stem}.png",
        "The gains of the hypotheses, in points. A bar with caps is a 95 % t interval; the line "
        "that goes on beyond it is the interval of all hypotheses together, once every seed was "
        "run.",
        f"Mean gains: {', '.join(gains)}." if gains else "Nothing was run.",
    )


def _seen(run: Sequence[Runs]) -> Iterator[str]:
    """Where the losses end, and who is best."""
    last = [
        result.metrics["final_train_loss"]
        for runs in run
        for result in runs.results.values()
        if "final_train_loss" in result.metrics
    ]
    if last:
        yield f"The losses end from {min(last):.2f} to {max(last):.2f}."
    if collapsed := _collapse_losses(run):
        yield f"The dashed line is at {', '.join(f'{loss:.2f}' for loss in collapsed)}."
    for column in METRICS:
        means = {_label(runs.configuration): runs.mean(column) for runs in run}
        ranked = sorted(
            ((mean.mean, label) for label, mean in means.items() if mean is not None), reverse=True
        )
        yield f"{column}: {', '.join(f'{label} {mean:.2f}' for mean, label in ranked)}."


def _label(one: Configuration) -> str:
    return f"{one.family}, {one.labels[1]}" if one.labels[1] else one.family


def _curve(one: Configuration, results: ResultFolder) -> LossCurve:
    loaded = (load_losses(results, experiment) for experiment in one.experiments.values())
    return LossCurve(_label(one), [losses for losses in loaded if losses])


def _collapse_losses(found: Sequence[Runs]) -> list[float]:
    """What parallel projections would give, where the runs say it."""
    results = [result for runs in found for result in runs.results.values()]
    losses = {result.metrics.get("collapse_loss") for result in results}
    return sorted(loss for loss in losses if loss is not None)
