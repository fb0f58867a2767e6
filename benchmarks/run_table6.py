"""Table 6 of the paper: classifiers of 1 and 3 layers, on features before and behind the head.

    python benchmarks/run_table6.py --smoke                 # a minute, no download
    python benchmarks/run_table6.py --seeds 0 1 2           # the paper's grid on CIFAR-100

The paper says of the deeper classifier that it has 3 layers, and no more; here they are 512 wide,
with ReLUs. A Transformer head's features depend on the batch: they are taken in fixed batches of
the training size with the classes mixed. Trains what Table 2 has not trained, and needs the
checkpoints in the out dir. Running it again does only what is missing.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from df_heads.benchmarks.harness.base.names import family
from df_heads.benchmarks.harness.base.paper import ABLATION_DATASET, ABLATION_SIZE, TABLE6
from df_heads.benchmarks.harness.evaluate.probes import DEPTHS, LOCATIONS, Probes, probe_name
from df_heads.benchmarks.harness.evaluate.standard import SUPERVISED
from df_heads.benchmarks.harness.plan import cells
from df_heads.benchmarks.harness.plan.ablation import of_the_papers_ablations
from df_heads.benchmarks.harness.plan.benchmark import Benchmark, Drawn, FullRun, question_of
from df_heads.benchmarks.harness.plan.flags import run_script
from df_heads.benchmarks.harness.plan.table_script import run_table
from df_heads.benchmarks.harness.plan.topics import Topic
from df_heads.benchmarks.harness.plots.curves import Curve, Panel, draw_curves
from df_heads.benchmarks.harness.store.results import ResultFolder
from df_heads.benchmarks.harness.sweep.jobs import Job
from df_heads.benchmarks.harness.tables.accuracy import accuracies_and_gains
from df_heads.benchmarks.harness.tables.blocks import Block
from df_heads.benchmarks.harness.tables.runs import Configuration, Runs

PROBES = Probes()
#: Where the features come from, and how many layers the classifier has.
CLASSIFIERS = [(location, depth) for location in LOCATIONS for depth in DEPTHS]


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = cells.table_parser(__doc__, datasets=[ABLATION_DATASET], sizes=[ABLATION_SIZE])
    return cells.parse_with_smoke(parser, arguments, cells.SMOKE)


def configuration(
    args: argparse.Namespace, dataset: str, head: str, location: str, depth: int
) -> Configuration:
    """One classifier on one kind of features of one head."""
    printed = TABLE6.get((family(head), depth, location))
    theirs = of_the_papers_ablations(args, dataset, head)
    return Configuration(
        (dataset, location, str(depth)),
        head,
        {seed: cells.cell(args, dataset, head, seed) for seed in args.seeds},
        metrics={SUPERVISED: probe_name(location, depth), **cells.further_metrics(args)},
        paper={SUPERVISED: printed} if theirs and printed is not None else {},
    )


def configurations(args: argparse.Namespace, dataset: str) -> list[Configuration]:
    """Those of one data set."""
    heads = cells.presets(args)
    return [
        configuration(args, dataset, head, *classifier)
        for classifier in CLASSIFIERS
        for head in heads
    ]


def jobs(args: argparse.Namespace) -> list[Job]:
    """The cells, one seed after the other."""
    return [
        cells.job(args, cells.cell(args, dataset, head, seed), PROBES)
        for seed in args.seeds
        for dataset in args.datasets
        for head in cells.presets(args)
    ]


def table(args: argparse.Namespace, results: ResultFolder) -> list[Block]:
    """The table of the cells asked for, from their result files."""
    every = [one for dataset in args.datasets for one in configurations(args, dataset)]
    load = cells.loader(args, results, PROBES)
    return accuracies_and_gains(["data", "features", "layers"], every, load)


def draw(args: argparse.Namespace, results: ResultFolder) -> list[Path]:
    """One panel for each data set and size, one point for each head and classifier."""
    load = cells.loader(args, results, PROBES)

    def curve(dataset: str, name: str, size: str) -> Curve:
        every = [
            configuration(args, dataset, f"{name}-{size}", *classifier)
            for classifier in CLASSIFIERS
        ]
        ours = [Runs(one, load).accuracies(SUPERVISED) for one in every]
        return Curve(
            name,
            [(x, list(values.values())) for x, values in enumerate(ours)],
            [(x, one.paper[SUPERVISED]) for x, one in enumerate(every) if one.paper],
        )

    panels = [
        Panel(f"{dataset}, {size} heads", [curve(dataset, name, size) for name in args.heads])
        for dataset in args.datasets
        for size in args.sizes
    ]
    return draw_curves(
        results.path / cells.file_stem("table6", args),
        panels,
        x_title="features, layers of the classifier",
        y_title="supervised accuracy, %",
        categories=[f"{location}, {depth}" for location, depth in CLASSIFIERS],
    )


def figures(args: argparse.Namespace, _: ResultFolder) -> list[Drawn]:
    """What `draw` draws, in words."""
    return [
        Drawn(
            f"{cells.file_stem('table6', args)}.png",
            "Supervised accuracy by classifier. Filled: ours, with 95 % t intervals from two seeds "
            "on; hollow: the paper's.",
            f"A point for each of {', '.join(args.heads)} with each of {len(CLASSIFIERS)} "
            "classifiers; the table above has its numbers.",
        )
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing, then write and print the table and draw the points."""
    args = parse(arguments)
    return run_table("table6", args, jobs(args), table, draw)


BENCHMARK = Benchmark(
    name="table6",
    title="Table 6",
    question=question_of(__doc__),
    parse=parse,
    table=table,
    main=main,
    full_runs=[FullRun("Table 6, classifiers", "--seeds 0 1 2")],
    jobs=jobs,
    figures=figures,
    topic=lambda _: Topic.HELP,
    in_run_all=True,
)


if __name__ == "__main__":
    sys.exit(run_script(main))
