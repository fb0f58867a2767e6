"""Where does a head collapse? Short trainings in other people's recipes.

    python benchmarks/run_stability.py --smoke    # a minute
    python benchmarks/run_stability.py            # hours on one CPU core, no download

Not in the paper. Each head x method x optimiser and rate x warmup x clipping x batch size x
backbone trains for 200 steps on scikit-learn's digits. Collapse is measured on the outputs, so it
means the same for every method. A head is run where lightly's own head of that method lives with
every seed. Running it again does only what is missing.
"""

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from itertools import groupby, product
from pathlib import Path
from typing import Any

from df_heads.benchmarks.harness.plan.benchmark import Benchmark, Drawn, FullRun, question_of
from df_heads.benchmarks.harness.plan.cells import parse_with_smoke
from df_heads.benchmarks.harness.plan.flags import folder, names, run_script, seed
from df_heads.benchmarks.harness.plan.topics import Topic
from df_heads.benchmarks.harness.plots.drawing import require_matplotlib
from df_heads.benchmarks.harness.stability.plot import draw_map, shown
from df_heads.benchmarks.harness.stability.recipe import (
    BACKBONES,
    CANDIDATES,
    HEADS,
    METHODS,
    STEPS,
    Recipe,
    grid,
)
from df_heads.benchmarks.harness.stability.store import TrialFolder, file_name
from df_heads.benchmarks.harness.stability.table import Share, blocks_of, heads_of
from df_heads.benchmarks.harness.store.files import write_text
from df_heads.benchmarks.harness.store.results import ResultFolder
from df_heads.benchmarks.harness.tables.blocks import Block
from df_heads.benchmarks.harness.tables.text import to_markdown, to_terminal

OWN = HEADS[0]
SMOKE: dict[str, Any] = {
    "methods": ["simclr", "byol"],
    "backbones": ["test_resnet"],
    "batch_sizes": [64],
    "steps": 30,
    "unguarded": True,
}
#: More than a short training has use for.
MOST_IMAGES, MOST_STEPS = 2**16, 10**6


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--smoke", action="store_true", help="SimCLR and BYOL with the ResNet, 30 steps, one seed"
    )
    known = (*HEADS[1:], *CANDIDATES)
    parser.add_argument(
        "--heads",
        nargs="+",
        type=names(known),
        default=list(HEADS[1:]),
        help=f"beside lightly's own (default: {' '.join(HEADS[1:])}; there are {', '.join(known)})",
    )
    parser.add_argument("--methods", nargs="+", type=names(METHODS), default=list(METHODS))
    parser.add_argument("--backbones", nargs="+", type=names(BACKBONES), default=list(BACKBONES))
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=[64, 256])
    parser.add_argument("--seeds", nargs="+", type=seed, default=[0])
    parser.add_argument("--steps", type=int, default=STEPS, help="default: %(default)s")
    parser.add_argument(
        "--unguarded", action="store_true", help="only recipes without warmup and clipping"
    )
    parser.add_argument("--out-dir", type=folder, default=Path("runs"), help="default: %(default)s")
    parser.add_argument(
        "--progress", action=argparse.BooleanOptionalAction, default=True, help="progress bar"
    )
    parser.add_argument(
        "--table-only", action="store_true", help="run nothing; table and figure of what is there"
    )
    args = parse_with_smoke(parser, arguments, SMOKE)
    if not all(2 <= size <= MOST_IMAGES for size in args.batch_sizes):
        parser.error(f"--batch-sizes must be from 2 to {MOST_IMAGES}")
    if not 2 <= args.steps <= MOST_STEPS:
        parser.error(f"--steps must be from 2 to {MOST_STEPS}")
    return args


def recipes(args: argparse.Namespace) -> list[Recipe]:
    """Those that the flags ask for, the seeds of a setting one after the other."""
    found = grid(
        methods=args.methods,
        backbones=args.backbones,
        batch_sizes=args.batch_sizes,
        seeds=args.seeds,
        steps=args.steps,
    )
    kept = [r for r in found if not args.unguarded or (r.warmup, r.clip) == (0, None)]
    places = {setting: place for place, setting in reversed([*enumerate(map(setting_of, kept))])}
    return sorted(kept, key=lambda recipe: places[setting_of(recipe)])


def setting_of(recipe: Recipe) -> Recipe:
    """The recipe whatever its seed."""
    return dataclasses.replace(recipe, seed=0)


def run(args: argparse.Namespace, folder: TrialFolder) -> None:
    """Run what is missing."""
    import torch
    from tqdm.auto import tqdm

    from df_heads.benchmarks.harness.data.images import load_images
    from df_heads.benchmarks.harness.stability.trial import SIZE, run_trial

    data = load_images("digits", image_size=SIZE)
    torch.set_num_threads(1)  # the trainings are too small for more
    bar = tqdm(total=len(recipes(args)), desc="recipes", disable=not args.progress)
    for _, seeds in groupby(recipes(args), key=setting_of):
        lived: list[Recipe] = []
        for recipe in seeds:
            own = folder.find(recipe, OWN)
            if own is None:
                own = run_trial(recipe, OWN, data)
                folder.add(own)
            if own["collapsed"]:
                lived = []
                break
            lived.append(recipe)
        for recipe, head in product(lived, args.heads):
            if folder.find(recipe, head) is None:
                folder.add(run_trial(recipe, head, data))
        bar.update(len(args.seeds))
    bar.close()


def table(args: argparse.Namespace, results: ResultFolder) -> list[Block]:
    """The table, from the files of the map alone."""
    return blocks_of(TrialFolder(results.path, create=False).trials)


def files(args: argparse.Namespace) -> list[str]:
    """The files that the flags' runs are kept in."""
    every = product(args.methods, args.backbones, (OWN, *args.heads))
    return [file_name(*names) for names in every]


def figures(_: argparse.Namespace, results: ResultFolder) -> list[Drawn]:
    """What the map shows, in words."""
    trials = shown(TrialFolder(results.path, create=False).trials)
    if not trials:
        return []
    seen = [f"{h} {Share([t for t in trials if t['head'] == h])}" for h in heads_of(trials)]
    return [
        Drawn(
            "stability.png",
            "Share of collapsed runs by method and optimiser with its rate, over batch sizes, "
            "guards, backbones and seeds: of lightly's own head all runs, of the others those "
            "where it lives with every seed; white: there is none.",
            f"Collapsed runs of all that are drawn: {', '.join(seen)}.",
        )
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, then write and print table and figure."""
    args = parse(arguments)
    require_matplotlib()
    folder = TrialFolder(args.out_dir)
    if not args.table_only:
        run(args, folder)
    blocks = blocks_of(folder.trials)
    write_text(folder.path / "stability.md", to_markdown(blocks) + "\n")
    drawn = draw_map(folder.trials, folder.path / "stability")
    names = ", ".join(["stability.md", *(file.name for file in drawn)])
    print(f"\n{to_terminal(blocks)}\n\nWritten: {names} in {folder.path}")
    return 0


BENCHMARK = Benchmark(
    name="stability",
    title="Stability",
    question=question_of(__doc__),
    parse=parse,
    table=table,
    main=main,
    full_runs=[FullRun("Where each head collapses, in other people's recipes")],
    files=files,
    figures=figures,
    topic=lambda _: Topic.COLLAPSE,
)


if __name__ == "__main__":
    sys.exit(run_script(main))
