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
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from df_heads.benchmarks.harness.base.experiment import Experiment
from df_heads.benchmarks.harness.base.names import file_name
from df_heads.benchmarks.harness.data.sources import DATASETS
from df_heads.benchmarks.harness.evaluate.fusion import Fusion
from df_heads.benchmarks.harness.plan.benchmark import Benchmark, Drawn, FullRun, question_of
from df_heads.benchmarks.harness.plan.cells import add_sharing_flags
from df_heads.benchmarks.harness.plan.flags import (
    add_shared_flags,
    experiment_from,
    known,
    run_script,
)
from df_heads.benchmarks.harness.plan.table_script import run_table
from df_heads.benchmarks.harness.plan.topics import Topic
from df_heads.benchmarks.harness.plots.drawing import require_matplotlib
from df_heads.benchmarks.harness.store.results import ResultFolder
from df_heads.benchmarks.harness.sweep.jobs import Job
from df_heads.benchmarks.harness.tables.blocks import Block, Cell, Paragraph, Table
from df_heads.benchmarks.harness.tables.runs import METRICS, Configuration, Runs
from df_heads.benchmarks.harness.tables.values import NOT_RUN, Mean, Number
from df_heads.benchmarks.harness.train.heads import HEADS as FAMILIES

if TYPE_CHECKING:
    from df_heads.benchmarks.harness.evaluate.fusing import FusionMaps
    from df_heads.fusion import FusionSummary

HEADS = ("transformer", "transformer-tied", "transformer-uniform")
FUSION = Fusion()
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
    cells.add_argument("--dataset", type=known(DATASETS), help="default: mnist")
    cells.add_argument(
        "--heads",
        nargs="+",
        type=known(FAMILIES),
        default=list(HEADS),
        metavar="NAME",
        help="Transformer heads, such as transformer-self, or import paths "
        f"(default: {' '.join(HEADS)})",
    )
    cells.add_argument("--seeds", nargs="+", type=int, default=[0], help="default: 0")
    cells.add_argument("--backbone", default="cnn4", help="a timm model (default: the 4-layer CNN)")
    cells.add_argument("--num-layers", type=int, default=10, help="default: %(default)s")
    cells.add_argument("--num-heads", type=int, default=4, help="default: %(default)s")
    add_sharing_flags(cells)
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


def shown_layers(num_layers: int) -> list[int]:
    """The paper's layers that this head has, and its last one."""
    return sorted({layer for layer in SHOWN_LAYERS if layer < num_layers} | {num_layers})


def jobs(args: argparse.Namespace) -> list[Job]:
    """The cells, one seed after the other."""
    return [Job(cell(args, head, seed), (FUSION,)) for seed in args.seeds for head in args.heads]


def table(args: argparse.Namespace, results: ResultFolder) -> list[Block]:
    """The attention mass on others of the same class, over depth, before and after training."""
    shown = shown_layers(args.num_layers)
    headings = [
        "head", "weights", *(f"layer {layer}" for layer in shown), "best head",
        "chance", "same-class neighbour", *METRICS, "seeds",
    ]  # fmt: skip
    rows: list[list[Cell]] = []
    for head in args.heads:
        experiments = {seed: cell(args, head, seed) for seed in args.seeds}
        runs = Runs(Configuration((), head, experiments), results.load)
        every = (FUSION.maps(results, one) for one in experiments.values())
        found = [maps for maps in every if maps is not None]
        if not found:
            rows.append([head, NOT_RUN, *[""] * (len(headings) - 2)])
        for epoch in (0, args.epochs) if found else ():
            means = [Mean(runs.mean(column)) for column in METRICS]
            rows.append(
                [
                    f"{head} (collapsed)" if epoch and runs.collapsed else head,
                    f"after {epoch} epochs" if epoch else "untrained",
                    *_over_depth([fusion.summaries[epoch] for fusion in found], shown),
                    *(means if epoch else [""] * len(means)),
                    Number(len(found)),
                ]
            )
    return [Paragraph("Attention mass on others of the same class:"), Table(headings, rows)]


def _over_depth(summaries: Sequence["FusionSummary"], shown: Sequence[int]) -> list[Number]:
    from df_heads.benchmarks.harness.plots.fusion import measure

    mass = np.mean([measure(summary, "same_class_mass") for summary in summaries], axis=0)
    purity = np.mean([measure(summary, "neighbor_purity")[-1] for summary in summaries])
    of_layers = [mass[layer - 1].mean() for layer in shown]
    numbers = [*of_layers, mass[-1].max(), summaries[0].chance, purity]
    return [Number(None if np.isnan(number) else float(number), ".3f") for number in numbers]


def draw(args: argparse.Namespace, results: ResultFolder) -> list[Path]:
    """Draw the figures of the first seed that was run; returns their paths."""
    from df_heads.benchmarks.harness.plots.fusion import draw_maps, draw_measures

    found = _first_seeds(args, results)
    if not found:
        return []
    files = [results.path / f"{file_stem(args)}-measures.png"]
    draw_measures(found, files[0])
    for head, fusion in found.items():
        files.append(results.path / _map_file(args, head))
        layers = [layer - 1 for layer in shown_layers(args.num_layers)]
        draw_maps(fusion, layers, files[-1])
    return files


def _first_seeds(args: argparse.Namespace, results: ResultFolder) -> "dict[str, FusionMaps]":
    """Of each head, the first seed that was run."""
    found: dict[str, FusionMaps] = {}
    for head in args.heads:
        for seed in args.seeds:
            fusion = FUSION.maps(results, cell(args, head, seed))
            if fusion is not None:
                found.setdefault(head, fusion)
    return found


def file_stem(args: argparse.Namespace) -> str:
    """What the files of the table start with."""
    return f"table1-{file_name(args.dataset)}-{args.epochs}ep"


def _map_file(args: argparse.Namespace, head: str) -> str:
    return f"{file_stem(args)}-{file_name(head)}-attention.png"


def figures(args: argparse.Namespace, results: ResultFolder) -> list[Drawn]:
    """What `draw` draws, in words."""
    found = _first_seeds(args, results)
    if not found:
        return []
    chance = next(iter(found.values())).summaries[0].chance
    masses = {head: _mass(maps) for head, maps in found.items()}
    measures = Drawn(
        f"{file_stem(args)}-measures.png",
        f"Every measure over the {args.num_layers} layers: solid after {args.epochs} epochs, "
        "dotted before training; a band reaches from the least to the most attention head. The "
        "dashed line is chance.",
        f"In layer {args.num_layers} the attention to others of the class is "
        f"{'; '.join(f'{mass:.2f} for {head}' for head, mass in masses.items())}; chance is "
        f"{chance:.2f}.",
    )
    return [measures, *(_drawn_map(args, head, maps) for head, maps in found.items())]


def _drawn_map(args: argparse.Namespace, head: str, maps: "FusionMaps") -> Drawn:
    layers = shown_layers(args.num_layers)
    return Drawn(
        _map_file(args, head),
        f"{head} after {args.epochs} epochs: the attention of its first head in layers "
        f"{', '.join(map(str, layers))}, on test images sorted by class. A row attends to the "
        "columns; squares along the diagonal are attention within a class.",
        f"In layer {layers[-1]} {_squares(maps)}",
    )


def _squares(maps: "FusionMaps") -> str:
    """How the last map looks: the weights between others of one class beside those across."""
    weights = maps.maps[-1].astype(np.float64)
    same = maps.labels[:, None] == maps.labels
    others = ~np.eye(len(same), dtype=bool)  # attention to oneself is not fusion
    within, across = weights[same & others].mean(), weights[~same].mean()
    if not across > 0:
        return "no sample attends to one of another class."
    return f"the squares along the diagonal are {within / across:.1f} times as bright as the rest."


def _mass(maps: "FusionMaps") -> float:
    """The attention of the last layer to others of the class, over its heads."""
    from df_heads.benchmarks.harness.plots.fusion import measure

    return float(measure(maps.summaries[max(maps.summaries)], "same_class_mass")[-1].mean())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing, measure it, draw it."""
    args = parse(arguments)
    require_matplotlib()
    return run_table(file_stem(args), args, jobs(args), table, draw)


BENCHMARK = Benchmark(
    name="table1",
    title="Table 1",
    question=question_of(__doc__),
    parse=parse,
    table=table,
    main=main,
    full_runs=[FullRun("Table 1, Deep Fusion on MNIST")],
    jobs=jobs,
    figures=figures,
    topic=lambda _: Topic.FUSION,
)


if __name__ == "__main__":
    sys.exit(run_script(main))
