"""Table 1 of the paper: does the attention over the batch find the classes, more so in deep layers?

    python benchmarks/run_table1.py --smoke     # two minutes, no download
    python benchmarks/run_table1.py             # the paper's recipe on MNIST: 200 epochs

Trains a 4-layer CNN with a 10-layer, 4-head Transformer head, and draws the attention of the first
head in layers 1, 3, 6, 8 and 10 on a batch sorted by class. Beside it: every measure over all
layers before and after training, and the same for heads that do not choose whom to attend to.
Running it again does only what is missing.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace

import df_heads.benchmarks.harness.cnn4  # noqa: F401  (makes the backbone known)
from df_heads.benchmarks.harness.cli import (
    add_shared_flags,
    experiment_from,
    machine_from,
    names,
    run_script,
    source_from,
)
from df_heads.benchmarks.harness.experiment import Experiment
from df_heads.benchmarks.harness.images import DATASETS
from df_heads.benchmarks.harness.results import ResultFolder
from df_heads.benchmarks.harness.training import run

HEADS = ("transformer", "transformer-uniform", "transformer-self")
FAMILIES = (*HEADS, "transformer-tied")
SNAPSHOTS = (0, 1, 5, 20, 50, 200)
# The paper: "200 epochs ... SGD ... learning rate 0.1 ... batch size 1024", 10 layers, 4 heads.
PAPER = {"epochs": 200, "learning_rate": 0.1, "image_size": 28, "dataset": "mnist"}
SMOKE = {"epochs": 12, "batch_size": 128, "image_size": 16, "dataset": "digits"}


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    cells = parser.add_argument_group("cells")
    cells.add_argument("--dataset", type=names(tuple(DATASETS)), help="default: mnist")
    cells.add_argument(
        "--heads",
        nargs="+",
        type=names(FAMILIES),
        default=list(HEADS),
        metavar="NAME",
        help=f"of {', '.join(FAMILIES)} (default: {' '.join(HEADS)})",
    )
    cells.add_argument("--seeds", nargs="+", type=int, default=[0], help="default: 0")
    cells.add_argument("--backbone", default="cnn4", help="a timm model (default: the 4-layer CNN)")
    cells.add_argument("--num-layers", type=int, default=10, help="default: %(default)s")
    cells.add_argument("--num-heads", type=int, default=4, help="default: %(default)s")
    add_shared_flags(parser)
    parser.set_defaults(**PAPER)
    return parser.parse_args(arguments)


def cell(args: argparse.Namespace, head: str, seed: int) -> Experiment:
    """The experiment of one head and seed."""
    experiment = experiment_from(
        args, dataset=args.dataset, head=f"{head}-small", backbone=args.backbone, seed=seed
    )
    return replace(experiment, num_layers=args.num_layers, num_heads=args.num_heads)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing, measure it, draw it."""
    args = parse(arguments)
    results, machine, source = ResultFolder(args.out_dir), machine_from(args), source_from(args)
    epochs = sorted({epoch for epoch in SNAPSHOTS if epoch < args.epochs} | {args.epochs})
    for seed in args.seeds:
        for head in args.heads:
            experiment = cell(args, head, seed)
            if results.load(experiment) is None:
                data = source.load(experiment.dataset, experiment.image_size)
                run(
                    experiment,
                    data,
                    results,
                    machine,
                    data_note=source.note,
                    title=experiment.name,
                    snapshot_epochs=epochs,
                )
    return 0


if __name__ == "__main__":
    sys.exit(run_script(main))
