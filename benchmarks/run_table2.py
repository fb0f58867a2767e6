"""Table 2 of the paper: SimCLR with each projection head, on each data set.

    python benchmarks/run_table2.py --smoke                        # two minutes, no download
    python benchmarks/run_table2.py --datasets cifar10 cifar100    # the paper's recipe, on a GPU
    python benchmarks/run_table2.py --method byol                  # not in the paper, nor is moco

Every row stands beside the Transformer head with its attention switched off ("transformer-self")
and the backbone before training. Running it again does only what is missing.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from df_heads.benchmarks.harness.cli import (
    add_shared_flags,
    experiment_from,
    head_families,
    machine_from,
    names,
    run_script,
    source_from,
)
from df_heads.benchmarks.harness.experiment import UNTRAINED, Experiment
from df_heads.benchmarks.harness.images import DATASETS
from df_heads.benchmarks.harness.machine import is_first_process
from df_heads.benchmarks.harness.paper import TABLE2
from df_heads.benchmarks.harness.report import duration, gain, markdown_table, millions, percent
from df_heads.benchmarks.harness.results import ResultFolder, collapsed
from df_heads.benchmarks.harness.statistics import paired_gain, summarize
from df_heads.benchmarks.harness.sweep import run_missing

SIZES = ("small", "large")
HEADS = ("feedforward", "transformer", "transformer-self")
BASELINE, CONTROL = "feedforward", "transformer-self"
PAPER_BACKBONES = {"imagenet200": "resnet50"}
SMOKE = {
    "datasets": ["digits"],
    "sizes": ["small"],
    "image_size": 16,
    "epochs": 12,
    "batch_size": 128,
    # At 0.3 with the usual warmup the Transformer head collapsed in these 132 steps.
    "learning_rate": 0.1,
    "warmup_fraction": 0.3,
    "backbone": "resnet18",
}
HEADER = [
    "data", "backbone", "head", "size", "params",
    "unsup. %", "paper", "sup. %", "paper",
    "unsup. over FFN", "sup. over FFN", "unsup. over attention off", "sup. over attention off",
    "train time", "seeds",
]  # fmt: skip

Results = Mapping[int, Mapping[str, Any]]


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    cells = parser.add_argument_group("cells")
    cells.add_argument(
        "--datasets",
        nargs="+",
        type=names(tuple(DATASETS)),
        default=["cifar10", "cifar100"],
        metavar="NAME",
        help=f"of {', '.join(DATASETS)} (default: cifar10 cifar100)",
    )
    cells.add_argument(
        "--heads",
        nargs="+",
        type=names(head_families()),
        default=list(HEADS),
        metavar="NAME",
        help=f"of {', '.join(head_families())} (default: {' '.join(HEADS)})",
    )
    cells.add_argument(
        "--sizes", nargs="+", choices=SIZES, default=list(SIZES), help="default: both"
    )
    cells.add_argument("--seeds", nargs="+", type=int, default=[0], help="default: 0")
    cells.add_argument(
        "--backbone", help="a timm model (default: resnet18; resnet50 for imagenet200)"
    )
    cells.add_argument(
        "--smoke",
        action="store_true",
        help="real handwritten digits that need no download, a budget of minutes",
    )
    cells.add_argument(
        "--table-only", action="store_true", help="run nothing; print the table of what was run"
    )
    add_shared_flags(parser)
    if "--smoke" in (sys.argv[1:] if arguments is None else arguments):
        parser.set_defaults(**SMOKE)
    return parser.parse_args(arguments)


def cell(args: argparse.Namespace, dataset: str, head: str, seed: int) -> Experiment:
    """The experiment of one cell; head is a preset or "untrained"."""
    backbone = args.backbone or PAPER_BACKBONES.get(dataset, "resnet18")
    preset = f"{BASELINE}-small" if head == UNTRAINED else head
    experiment = experiment_from(args, dataset=dataset, head=preset, backbone=backbone, seed=seed)
    return experiment.untrained if head == UNTRAINED else experiment


def presets(args: argparse.Namespace) -> list[str]:
    """The rows of one data set: the untrained backbone, then each head in each size."""
    return [UNTRAINED, *(f"{family}-{size}" for size in args.sizes for family in args.heads)]


def table(args: argparse.Namespace, results: ResultFolder) -> str:
    """The table of the cells asked for, from their result files."""
    rows = []
    for dataset in args.datasets:
        found: dict[str, Results] = {}
        for head in presets(args):
            loaded = {seed: results.load(cell(args, dataset, head, seed)) for seed in args.seeds}
            found[head] = {seed: result for seed, result in loaded.items() if result is not None}
        backbone = cell(args, dataset, UNTRAINED, args.seeds[0]).backbone
        rows += [_row(dataset, backbone, args.method, head, found) for head in found]
    return markdown_table(HEADER, rows)


def _row(
    dataset: str, backbone: str, method: str, head: str, found: Mapping[str, Results]
) -> list[str]:
    family, _, size = head.rpartition("-")
    results = found[head]
    first = next(iter(results.values()), None)
    paper = TABLE2.get((dataset, family, size)) if method == "simclr" else None
    trained_with = "" if method == "simclr" or head == UNTRAINED else f"{method} "

    def metric(name: str, of: str = head) -> dict[int, float]:
        return {seed: result["metrics"][name] for seed, result in found.get(of, {}).items()}

    def over(name: str, other: str) -> str:
        compared = f"{other}-{size}"
        return "" if compared == head else gain(paired_gain(metric(name), metric(name, compared)))

    seconds = summarize([result["seconds"]["train"] for result in results.values()])
    return [
        dataset,
        backbone,
        trained_with
        + (family or head)
        + (" (collapsed)" if any(map(collapsed, results.values())) else ""),
        size if family else "",
        millions(first["parameters"]["head"] if first else None),
        percent(summarize(list(metric("unsupervised").values()))),
        f"{paper.unsupervised:.2f}" if paper else "",
        percent(summarize(list(metric("supervised").values()))),
        f"{paper.supervised:.2f}" if paper else "",
        over("unsupervised", BASELINE),
        over("supervised", BASELINE),
        over("unsupervised", CONTROL),
        over("supervised", CONTROL),
        duration(seconds.mean if seconds and head != UNTRAINED else None),
        str(len(results)),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing, then write and print the table."""
    args = parse(arguments)
    results, machine = ResultFolder(args.out_dir), machine_from(args)
    experiments = [
        cell(args, dataset, head, seed)
        for dataset in args.datasets
        for seed in args.seeds
        for head in presets(args)
    ]
    failures = []
    if not args.table_only:
        failures = run_missing(experiments, source_from(args), results, machine)
    if not is_first_process():
        return 1 if failures else 0
    text = table(args, results)
    method = "" if args.method == "simclr" else f"-{args.method}"
    file = results.path / f"table2{method}.md"
    file.write_text(text + "\n", encoding="utf-8")
    print(f"\n{text}\n\nTable: {file}")
    for failure in failures:
        print(f"failed: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(run_script(main))
