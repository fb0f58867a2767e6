"""Does a head help where labels are few or wrong, on other data, or on corrupted images?

    python benchmarks/run_robustness.py --smoke             # minutes, no download
    python benchmarks/run_robustness.py --seeds 0 1 2       # both CIFARs, on a GPU

Not in the paper. Every backbone is probed with 1, 10 and 100 % of the labels, with 20 and 40 % of
them wrong, on another data set (--transfer-to; one CIFAR for the other, inverted images for the
digits) and on its own test images corrupted. Trains what Table 2 has not trained, and needs the
checkpoints in the out dir. Running it again does only what is missing.
"""

import argparse
import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path

from df_heads.benchmarks.harness.base.names import BASELINE, family, size_of
from df_heads.benchmarks.harness.data.sources import DATASETS
from df_heads.benchmarks.harness.evaluate.evaluation import Load
from df_heads.benchmarks.harness.evaluate.robustness import INVERTED, TARGETS, Robustness
from df_heads.benchmarks.harness.plan import cells
from df_heads.benchmarks.harness.plan.benchmark import Benchmark, Drawn, FullRun, question_of
from df_heads.benchmarks.harness.plan.flags import known_or, run_script
from df_heads.benchmarks.harness.plan.table_script import run_table
from df_heads.benchmarks.harness.plan.topics import Topic
from df_heads.benchmarks.harness.plots.gains import GainPanel, Gains, draw_gains
from df_heads.benchmarks.harness.store.results import ResultFolder
from df_heads.benchmarks.harness.sweep.jobs import Job
from df_heads.benchmarks.harness.tables.accuracy import REFERENCES
from df_heads.benchmarks.harness.tables.blocks import Block, Paragraph
from df_heads.benchmarks.harness.tables.robustness import (
    ACCURACY,
    NOTE,
    by_setting,
    robustness_tables,
)
from df_heads.benchmarks.harness.tables.runs import Configuration, Runs


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = cells.table_parser(__doc__, datasets=["cifar10", "cifar100"], sizes=["small"])
    parser.add_argument(
        "--transfer-to",
        type=known_or(INVERTED, DATASETS),
        metavar="NAME",
        help="data set to probe the backbones on too, at the same image size, or inverted for "
        "their own images with black and white exchanged (default: the other CIFAR; inverted for "
        "digits)",
    )
    args = cells.parse_with_smoke(parser, arguments, cells.SMOKE)
    for dataset in args.datasets:
        if args.transfer_to == dataset:
            parser.error(f"--transfer-to {dataset} is what it is trained on; choose another")
        if args.transfer_to is None and dataset not in TARGETS:
            parser.error(f"{dataset} has no usual counterpart; choose one with --transfer-to")
    return args


def evaluation(args: argparse.Namespace, dataset: str) -> Robustness:
    """What the backbones of a data set are evaluated with."""
    return Robustness(args.transfer_to or TARGETS[dataset])


def configurations(args: argparse.Namespace, dataset: str) -> list[Configuration]:
    """The heads of one data set, with a metric for each setting."""
    return [
        Configuration(
            (dataset,),
            head,
            {seed: cells.cell(args, dataset, head, seed) for seed in args.seeds},
            metrics={**evaluation(args, dataset).columns, **cells.further_metrics(args)},
        )
        for head in cells.presets(args)
    ]


def jobs(args: argparse.Namespace) -> list[Job]:
    """The cells, one seed after the other."""
    return [
        cells.job(args, cells.cell(args, dataset, head, seed), evaluation(args, dataset))
        for seed in args.seeds
        for dataset in args.datasets
        for head in cells.presets(args)
    ]


def table(args: argparse.Namespace, results: ResultFolder) -> list[Block]:
    """The tables of each data set, from the result files."""
    blocks: list[Block] = [Paragraph(NOTE)]
    for dataset in args.datasets:
        load = cells.loader(args, results, evaluation(args, dataset))
        blocks += robustness_tables(configurations(args, dataset), load)
    return blocks


def draw(args: argparse.Namespace, results: ResultFolder) -> list[Path]:
    """One panel for each data set and size: each head over the two references."""
    panels = [
        GainPanel(
            f"{dataset}, {size} heads",
            list(evaluation(args, dataset).columns),
            _gains(
                configurations(args, dataset),
                size,
                cells.loader(args, results, evaluation(args, dataset)),
            ),
        )
        for dataset, size in product(args.datasets, args.sizes)
    ]
    return draw_gains(results.path / cells.file_stem("robustness", args), panels)


def _gains(every: Sequence[Configuration], size: str, load: Load) -> list[Gains]:
    by_head: dict[str, list[Runs]] = {}
    for one in by_setting(every):
        by_head.setdefault(one.head, []).append(Runs(one, load))
    return [
        Gains(
            f"{family(head)} over {title}",
            [a.gain(ACCURACY, b) for a, b in zip(ours, theirs, strict=True)],
        )
        for head, ours in by_head.items()
        for reference, title in REFERENCES.items()
        # The baseline itself is over nothing: its gain is the other's with the sign turned.
        if size_of(head) == size
        and family(head) not in (reference, BASELINE)
        and (theirs := by_head.get(f"{reference}-{size}"))
    ]


def figures(args: argparse.Namespace, _: ResultFolder) -> list[Drawn]:
    """What `draw` draws, in words."""
    return [
        Drawn(
            f"{cells.file_stem('robustness', args)}.png",
            "Paired gains in points, setting by setting, with 95 % t intervals from two seeds on.",
            f"A panel for each of {', '.join(args.datasets)}, a point for each head over each it "
            "is compared with, in each setting; the gains above are the same numbers.",
        )
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing, then write and print the tables and draw the gains."""
    args = parse(arguments)
    return run_table("robustness", args, jobs(args), table, draw)


BENCHMARK = Benchmark(
    name="robustness",
    title="Robustness",
    question=question_of(__doc__),
    parse=parse,
    table=table,
    main=main,
    full_runs=[
        FullRun(
            "Robustness",
            "--seeds 0 1 2",
            question_of(__doc__),
        )
    ],
    jobs=jobs,
    figures=figures,
    topic=lambda _: Topic.HELP,
    in_run_all=True,
)


if __name__ == "__main__":
    sys.exit(run_script(main))
