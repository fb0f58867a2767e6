"""Table 2 of the paper: SimCLR with each projection head, on each data set.

    python benchmarks/run_table2.py --smoke                        # a minute or two, no download
    python benchmarks/run_table2.py --datasets cifar10 cifar100    # the paper's recipe, on a GPU
    python benchmarks/run_table2.py --method byol                  # not in the paper, nor is moco

Every row stands beside the Transformer head with its attention switched off ("transformer-self")
and the backbone before training. Running it again does only what is missing.
"""

import argparse
import sys
from collections.abc import Sequence

from df_heads.benchmarks.harness.base.experiment import UNTRAINED
from df_heads.benchmarks.harness.base.names import SIZES, family, size_of
from df_heads.benchmarks.harness.base.paper import PAPER_METHOD, TABLE2
from df_heads.benchmarks.harness.evaluate.standard import SUPERVISED, UNSUPERVISED
from df_heads.benchmarks.harness.plan import cells
from df_heads.benchmarks.harness.plan.benchmark import Benchmark, FullRun, question_of
from df_heads.benchmarks.harness.plan.cells import cell
from df_heads.benchmarks.harness.plan.flags import run_script
from df_heads.benchmarks.harness.plan.table_script import run_table
from df_heads.benchmarks.harness.plan.topics import Topic
from df_heads.benchmarks.harness.store.results import ResultFolder
from df_heads.benchmarks.harness.sweep.jobs import Job
from df_heads.benchmarks.harness.tables.accuracy import accuracies_and_gains
from df_heads.benchmarks.harness.tables.blocks import Block
from df_heads.benchmarks.harness.tables.runs import Configuration

SMOKE = {
    "datasets": ["digits"],
    "sizes": ["small"],
    "image_size": 16,
    "epochs": 12,
    "batch_size": 128,
    # At 0.3 with the usual warmup the head on a ResNet18 collapsed in these 132 steps.
    "learning_rate": 0.1,
    "warmup_fraction": 0.3,
    "backbone": "test_resnet",
}


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = cells.table_parser(__doc__, datasets=["cifar10", "cifar100"], sizes=SIZES)
    return cells.parse_with_smoke(parser, arguments, SMOKE)


def configurations(args: argparse.Namespace) -> list[Configuration]:
    """The untrained backbone of each data set, then each head in each size."""
    every = []
    for dataset in args.datasets:
        for head in (UNTRAINED, *cells.presets(args)):
            experiments = {seed: cell(args, dataset, head, seed) for seed in args.seeds}
            backbone = next(iter(experiments.values())).backbone
            key = dataset, family(head), size_of(head)
            printed = TABLE2.get(key) if args.method == PAPER_METHOD else None
            every.append(
                Configuration(
                    (dataset, backbone),
                    head,
                    experiments,
                    metrics=cells.metrics(args),
                    paper={UNSUPERVISED: printed.unsupervised, SUPERVISED: printed.supervised}
                    if printed
                    else {},
                    paper_hours=printed.hours if printed else None,
                )
            )
    return every


def jobs(args: argparse.Namespace) -> list[Job]:
    """The cells, one seed of one data set after the other."""
    every = configurations(args)
    return [
        cells.job(args, one.experiments[seed])
        for dataset in args.datasets
        for seed in args.seeds
        for one in every
        if one.labels[0] == dataset
    ]


def table(args: argparse.Namespace, results: ResultFolder) -> list[Block]:
    """The table of the cells asked for, from their result files."""
    load = cells.loader(args, results)
    return accuracies_and_gains(["data", "backbone"], configurations(args), load)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing, then write and print the table."""
    args = parse(arguments)
    return run_table("table2", args, jobs(args), table)


BENCHMARK = Benchmark(
    name="table2",
    title="Table 2",
    question=question_of(__doc__),
    parse=parse,
    table=table,
    main=main,
    full_runs=[
        FullRun("Table 2, heads on CIFAR-10 and CIFAR-100", "--seeds 0 1 2"),
        FullRun(
            "Table 2, heads on ImageNet-200",
            "--datasets imagenet200 --data-dir tiny-imagenet-200 --seeds 0 1 2",
        ),
    ],
    jobs=jobs,
    topic=lambda _: Topic.HELP,
    in_run_all=True,
)


if __name__ == "__main__":
    sys.exit(run_script(main))
