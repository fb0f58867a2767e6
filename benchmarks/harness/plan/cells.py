"""Which cells a table has: the flags that choose them, and their experiments."""

import argparse
import dataclasses
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from df_heads.benchmarks.harness.base.experiment import UNTRAINED, Experiment
from df_heads.benchmarks.harness.base.names import BASELINE, SIZES, family, size_of
from df_heads.benchmarks.harness.base.paper import PAPER_METHOD
from df_heads.benchmarks.harness.data.sources import DATASETS
from df_heads.benchmarks.harness.evaluate.evaluation import Evaluation, Load
from df_heads.benchmarks.harness.evaluate.evaluation import loader as load_with
from df_heads.benchmarks.harness.evaluate.registry import EVALUATIONS
from df_heads.benchmarks.harness.plan.flags import add_shared_flags, experiment_from, known
from df_heads.benchmarks.harness.store.results import ResultFolder
from df_heads.benchmarks.harness.sweep.jobs import WHOLE, Job, shard
from df_heads.benchmarks.harness.tables.runs import METRICS
from df_heads.benchmarks.harness.train.heads import HEADS as HEAD_FAMILIES

HEADS = ("feedforward", "transformer", "transformer-self")
PAPER_BACKBONES = {"imagenet200": "resnet50"}

#: What --smoke sets in the ablations: two seeds of real digits, a backbone of half a million
#: weights, 55 steps.
SMOKE: Mapping[str, Any] = {
    "datasets": ["digits"],
    "sizes": ["small"],
    "seeds": [0, 1],
    "backbone": "test_resnet",
    "image_size": 16,
    "train_images": 720,
    "epochs": 5,
    "batch_size": 64,
    "learning_rate": 0.1,
    "warmup_fraction": 0.3,
}


def table_parser(
    description: str | None,
    *,
    datasets: Sequence[str],
    sizes: Sequence[str],
    heads: Sequence[str] | None = HEADS,
) -> argparse.ArgumentParser:
    """A parser with the flags that every table has.

    Args:
        description: For --help.
        datasets: Default of --datasets.
        sizes: Default of --sizes.
        heads: Default of --heads; None for a script that chooses the heads and has no such flag.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    cells = parser.add_argument_group("cells")
    cells.add_argument(
        "--datasets",
        nargs="+",
        type=known(DATASETS),
        default=list(datasets),
        metavar="NAME",
        help=f"of {', '.join(DATASETS.names())} (default: {' '.join(datasets)})",
    )
    if heads is not None:
        cells.add_argument(
            "--heads",
            nargs="+",
            type=known(HEAD_FAMILIES),
            default=list(heads),
            metavar="NAME",
            help=f"of {', '.join(HEAD_FAMILIES.names())}, or an import path "
            f"(default: {' '.join(heads)})",
        )
    cells.add_argument(
        "--sizes",
        nargs="+",
        choices=SIZES,
        default=list(sizes),
        help=f"default: {' '.join(sizes)}",
    )
    cells.add_argument("--seeds", nargs="+", type=int, default=[0], help="default: 0")
    cells.add_argument(
        "--backbone", help="a timm model (default: resnet18; resnet50 for imagenet200)"
    )
    cells.add_argument(
        "--learning-rates",
        nargs="+",
        type=_rate,
        default=[],
        metavar="HEAD=RATE",
        help="peak of single heads, such as feedforward=0.1 transformer-large=0.3; the others "
        "get --learning-rate (run_tuning.py finds them)",
    )
    cells.add_argument(
        "--evaluations",
        nargs="+",
        type=known(EVALUATIONS),
        default=[],
        metavar="NAME",
        help="further evaluations of each run, as columns: of "
        f"{', '.join(n for n in EVALUATIONS.names() if n != 'standard')}, or an import path "
        "(default: none)",
    )
    add_sharing_flags(cells)
    add_shared_flags(parser)
    return parser


def add_sharing_flags(cells: "argparse._ArgumentGroup") -> None:
    """Add the flags of which cells to do now: a share, a small budget, none."""
    cells.add_argument(
        "--shard",
        type=shard,
        default=WHOLE,
        metavar="I/N",
        help="do only share I, from 1, of N; processes without it share the work as it comes",
    )
    cells.add_argument(
        "--smoke",
        action="store_true",
        help="real handwritten digits that need no download, a budget of minutes",
    )
    cells.add_argument(
        "--table-only", action="store_true", help="run nothing; print the table of what was run"
    )


def parse_with_smoke(
    parser: argparse.ArgumentParser, arguments: Sequence[str] | None, smoke: Mapping[str, Any]
) -> argparse.Namespace:
    """Parse; with --smoke the defaults are those of `smoke`."""
    if "--smoke" in (sys.argv[1:] if arguments is None else arguments):
        parser.set_defaults(**smoke)
    return parser.parse_args(arguments)


def cell(args: argparse.Namespace, dataset: str, head: str, seed: int) -> Experiment:
    """The experiment of one cell; head is a preset or "untrained"."""
    backbone = args.backbone
    if backbone is None:
        backbone = PAPER_BACKBONES.get(dataset, "resnet18")
    preset = f"{BASELINE}-small" if head == UNTRAINED else head
    experiment = experiment_from(args, dataset=dataset, head=preset, backbone=backbone, seed=seed)
    if head == UNTRAINED:
        return experiment.untrained
    rates = dict(args.learning_rates)
    rate = rates.get(head, rates.get(family(head), args.learning_rate))
    return dataclasses.replace(experiment, learning_rate=rate)


def further(args: argparse.Namespace) -> tuple[Evaluation, ...]:
    """The evaluations asked for beside the table's own."""
    return tuple(EVALUATIONS.find(name) for name in args.evaluations)


def job(
    args: argparse.Namespace, experiment: Experiment, *evaluations: Evaluation, label: str = ""
) -> Job:
    """A cell with the evaluations that the table has of its own, and those asked for."""
    wanted = () if experiment.head == UNTRAINED else (*evaluations, *further(args))
    return Job(experiment, tuple(dict.fromkeys(wanted)), label=label)


def loader(args: argparse.Namespace, results: ResultFolder, *evaluations: Evaluation) -> Load:
    """Loads what `job` makes, all metrics together."""
    return load_with(results, (*evaluations, *further(args)))


def further_metrics(args: argparse.Namespace) -> dict[str, str]:
    """Heading -> metric of the evaluations asked for beside the table's own."""
    return {title: name for each in further(args) for title, name in each.columns.items()}


def metrics(args: argparse.Namespace) -> dict[str, str]:
    """Heading -> metric: the standard ones, then those asked for."""
    return {**METRICS, **further_metrics(args)}


def file_stem(name: str, args: argparse.Namespace) -> str:
    """What the files of a table start with: its name, and the method if not the paper's."""
    return name if args.method == PAPER_METHOD else f"{name}-{args.method}"


def presets(args: argparse.Namespace) -> list[str]:
    """The heads of a table: each family in each size."""
    return [f"{name}-{size}" for size in args.sizes for name in args.heads]


def _rate(value: str) -> tuple[str, float]:
    """An argparse type: HEAD=RATE, the head a family or a preset."""
    head, _, number = value.partition("=")
    known(HEAD_FAMILIES)(family(head) if size_of(head) in SIZES else head)
    try:
        rate = float(number)
    except ValueError:
        rate = 0.0
    if not 0 < rate < float("inf"):
        raise argparse.ArgumentTypeError(
            f"{value!r} must be HEAD=RATE with a rate above 0, such as feedforward=0.1"
        )
    return head, rate
