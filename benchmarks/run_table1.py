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

import numpy as np

import df_heads.benchmarks.harness.train.cnn4  # noqa: F401  (makes the backbone known)
from df_heads.benchmarks.harness.base.experiment import Experiment
from df_heads.benchmarks.harness.base.machine import Machine, is_first_process
from df_heads.benchmarks.harness.base.statistics import summarize
from df_heads.benchmarks.harness.base.text_table import markdown_table, percent
from df_heads.benchmarks.harness.data.images import DATASETS
from df_heads.benchmarks.harness.evaluate.fusion import (
    FusionResult,
    has_snapshots,
    load_fusion,
    measure_run,
)
from df_heads.benchmarks.harness.plan.flags import (
    add_shared_flags,
    experiment_from,
    machine_from,
    names,
    run_script,
    source_from,
)
from df_heads.benchmarks.harness.plots.drawing import require_matplotlib
from df_heads.benchmarks.harness.plots.fusion import draw_maps, draw_measures, measure
from df_heads.benchmarks.harness.store.results import ResultFolder, collapsed
from df_heads.benchmarks.harness.sweep.missing import DataSource
from df_heads.benchmarks.harness.sweep.run import run
from df_heads.benchmarks.harness.train.callbacks import TrainingDivergedError
from df_heads.fusion import FusionSummary

HEADS = ("transformer", "transformer-tied", "transformer-uniform")
FAMILIES = (*HEADS, "transformer-self")
SNAPSHOTS = (0, 1, 5, 20, 50, 200)
SHOWN_LAYERS = (1, 3, 6, 8, 10)
# The paper: "200 epochs ... SGD ... learning rate 0.1 ... batch size 1024", 10 layers, 4 heads.
PAPER = {"epochs": 200, "learning_rate": 0.1, "image_size": 28, "dataset": "mnist"}
SMOKE = {**PAPER, "epochs": 12, "batch_size": 128, "image_size": 16, "dataset": "digits"}


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
    cells.add_argument(
        "--smoke",
        action="store_true",
        help="real handwritten digits that need no download, a budget of minutes",
    )
    cells.add_argument(
        "--table-only", action="store_true", help="run nothing; draw and print what was run"
    )
    add_shared_flags(parser)
    smoke = "--smoke" in (sys.argv[1:] if arguments is None else arguments)
    parser.set_defaults(**(SMOKE if smoke else PAPER))
    return parser.parse_args(arguments)


def cell(args: argparse.Namespace, head: str, seed: int) -> Experiment:
    """The experiment of one head and seed."""
    experiment = experiment_from(
        args, dataset=args.dataset, head=f"{head}-small", backbone=args.backbone, seed=seed
    )
    return replace(experiment, num_layers=args.num_layers, num_heads=args.num_heads)


def snapshot_epochs(epochs: int) -> list[int]:
    """The epochs at which a run is measured: the first, the last and some between."""
    return sorted({epoch for epoch in SNAPSHOTS if epoch < epochs} | {epochs})


def shown_layers(num_layers: int) -> list[int]:
    """The paper's layers that this head has, and its last one."""
    return sorted({layer for layer in SHOWN_LAYERS if layer < num_layers} | {num_layers})


def run_cell(
    experiment: Experiment, source: DataSource, results: ResultFolder, machine: Machine
) -> None:
    """Train and measure one cell, or what of it is missing."""
    epochs = snapshot_epochs(experiment.epochs)
    if load_fusion(results, experiment) is not None:
        return
    data = source.load(experiment.dataset, experiment.image_size)
    trained = results.load(experiment) is not None
    if not trained or not has_snapshots(results, experiment, epochs):
        run(
            experiment,
            data,
            results,
            # A finished run has nothing to resume, and its snapshots are gone.
            replace(machine, resume=machine.resume and not trained),
            data_note=source.note,
            title=f"{experiment.dataset} {experiment.head} seed {experiment.seed}",
            snapshot_epochs=epochs,
        )
    if is_first_process():
        measure_run(experiment, data, results, machine, epochs, data_note=source.note)


def table(args: argparse.Namespace, results: ResultFolder) -> str:
    """The attention mass on others of the same class, over depth, before and after training."""
    shown = shown_layers(args.num_layers)
    header = [
        "head", "weights", *(f"layer {layer}" for layer in shown), "best head",
        "chance", "same-class neighbour", "unsup. %", "sup. %", "seeds",
    ]  # fmt: skip
    rows = []
    for head in args.heads:
        cells = [cell(args, head, seed) for seed in args.seeds]
        found = [fusion for c in cells if (fusion := load_fusion(results, c)) is not None]
        scores = [result for c in cells if (result := results.load(c)) is not None]
        if not found:
            rows.append([head, "not run", *[""] * (len(header) - 2)])
        for epoch in (0, args.epochs) if found else ():
            accuracies = ["", ""]
            if epoch:
                accuracies = [
                    percent(summarize([score["metrics"][name] for score in scores]))
                    for name in ("unsupervised", "supervised")
                ]
            broken = " (collapsed)" if epoch and any(map(collapsed, scores)) else ""
            rows.append(
                [
                    head + broken,
                    f"after {epoch} epochs" if epoch else "untrained",
                    *_over_depth([fusion.summaries[epoch] for fusion in found], shown),
                    *accuracies,
                    str(len(found)),
                ]
            )
    return markdown_table(header, rows)


def _over_depth(summaries: Sequence[FusionSummary], shown: Sequence[int]) -> list[str]:
    mass = np.mean([measure(summary, "same_class_mass") for summary in summaries], axis=0)
    purity = np.mean([measure(summary, "neighbor_purity")[-1] for summary in summaries])
    of_layers = [mass[layer - 1].mean() for layer in shown]
    numbers = [*of_layers, mass[-1].max(), summaries[0].chance, purity]
    return ["" if np.isnan(number) else f"{number:.3f}" for number in numbers]


def draw(args: argparse.Namespace, results: ResultFolder) -> list[str]:
    """Draw the figures of the first seed that was run; returns their paths."""
    found: dict[str, FusionResult] = {}
    for head in args.heads:
        for seed in args.seeds:
            fusion = load_fusion(results, cell(args, head, seed))
            if fusion is not None:
                found.setdefault(head, fusion)
    if not found:
        return []
    stem = f"table1-{args.dataset}-{args.epochs}ep"
    files = [results.path / f"{stem}-measures.png"]
    draw_measures(found, files[0])
    for head, fusion in found.items():
        files.append(results.path / f"{stem}-{head}-attention.png")
        layers = [layer - 1 for layer in shown_layers(args.num_layers)]
        draw_maps(fusion, layers, files[-1])
    return [str(file) for file in files]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing, measure it, draw it."""
    args = parse(arguments)
    require_matplotlib()
    results, machine, source = ResultFolder(args.out_dir), machine_from(args), source_from(args)
    failures = []
    if not args.table_only:
        for seed in args.seeds:
            for head in args.heads:
                try:
                    run_cell(cell(args, head, seed), source, results, machine)
                except TrainingDivergedError as error:
                    failures.append(str(error))
    if not is_first_process():
        return 1 if failures else 0
    text = table(args, results)
    file = results.path / f"table1-{args.dataset}-{args.epochs}ep.md"
    file.write_text(text + "\n", encoding="utf-8")
    print(f"\nAttention mass on others of the same class:\n\n{text}\n\nTable: {file}")
    for figure in draw(args, results):
        print(f"Figure: {figure}")
    for failure in failures:
        print(f"failed: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(run_script(main))
