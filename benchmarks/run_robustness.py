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
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from df_heads.benchmarks.harness.base.experiment import Experiment
from df_heads.benchmarks.harness.base.names import BASELINE, family, size_of
from df_heads.benchmarks.harness.data.images import DATASETS
from df_heads.benchmarks.harness.evaluate.robustness import INVERTED
from df_heads.benchmarks.harness.plan import cells
from df_heads.benchmarks.harness.plan.flags import names, run_script
from df_heads.benchmarks.harness.plan.table_script import run_table
from df_heads.benchmarks.harness.plots.gains import GainPanel, Gains, draw_gains
from df_heads.benchmarks.harness.store.results import ResultFolder
from df_heads.benchmarks.harness.sweep.jobs import Job
from df_heads.benchmarks.harness.tables.accuracy import REFERENCES, FilledRow, Load, Row
from df_heads.benchmarks.harness.tables.robustness import (
    ACCURACY,
    NOTE,
    by_setting,
    robustness_tables,
    settings,
)

#: The domain shift of each data set that has a natural one.
TARGETS = {"cifar10": "cifar100", "cifar100": "cifar10", "digits": INVERTED}


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = cells.table_parser(__doc__, datasets=["cifar10", "cifar100"], sizes=["small"])
    parser.add_argument(
        "--transfer-to",
        type=names((*DATASETS, INVERTED)),
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


def target(args: argparse.Namespace, dataset: str) -> str:
    """What the backbones of a data set are probed on too."""
    return args.transfer_to or TARGETS[dataset]


def rows(args: argparse.Namespace, dataset: str) -> list[Row]:
    """The heads of one data set, with a metric for each setting."""
    return [
        Row(
            (dataset,),
            head,
            {seed: cells.cell(args, dataset, head, seed) for seed in args.seeds},
            metrics=settings(target(args, dataset)),
        )
        for head in cells.presets(args)
    ]


def jobs(args: argparse.Namespace) -> list[Job]:
    """The cells, one seed after the other."""
    return [
        Job(cells.cell(args, dataset, head, seed), robustness=target(args, dataset))
        for seed in args.seeds
        for dataset in args.datasets
        for head in cells.presets(args)
    ]


def loader(args: argparse.Namespace, results: ResultFolder) -> Load:
    """Loads a result with the further accuracies among its metrics."""

    def load(experiment: Experiment) -> Mapping[str, Any] | None:
        result = results.load(experiment)
        more = results.load_robustness(experiment, target(args, experiment.dataset))
        if result is None or more is None:
            return None
        return {**result, "metrics": {**result["metrics"], **more["metrics"]}}

    return load


def table(args: argparse.Namespace, results: ResultFolder) -> str:
    """The tables of each data set, from the result files."""
    load = loader(args, results)
    return "\n\n".join(
        [NOTE, *(robustness_tables(rows(args, dataset), load) for dataset in args.datasets)]
    )


def draw(args: argparse.Namespace, results: ResultFolder) -> list[Path]:
    """One panel for each data set and size: each head over the two references."""
    load = loader(args, results)
    panels = [
        GainPanel(
            f"{dataset}, {size} heads",
            list(settings(target(args, dataset))),
            _gains(rows(args, dataset), size, load),
        )
        for dataset, size in product(args.datasets, args.sizes)
    ]
    return draw_gains(results.path / cells.file_stem("robustness", args), panels)


def _gains(lines: Sequence[Row], size: str, load: Load) -> list[Gains]:
    by_head: dict[str, list[FilledRow]] = {}
    for row in by_setting(lines):
        by_head.setdefault(row.head, []).append(FilledRow(row, load))
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing, then write and print the tables and draw the gains."""
    args = parse(arguments)
    return run_table("robustness", args, jobs(args), table, draw)


if __name__ == "__main__":
    sys.exit(run_script(main))
