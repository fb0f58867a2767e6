"""The paper's theory on data made for it: unions of subspaces with known noise.

    python benchmarks/run_theory.py --smoke    # seconds
    python benchmarks/run_theory.py            # minutes on one CPU core

Varies noise, angle, sequence length, clusters and rank, one at a time, and sets Theorem 1, the
noise bounds and Theorem 2 beside what is measured. Writes theory.json, theory.md and theory.png.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from tqdm.auto import tqdm

from df_heads.benchmarks.harness.base.environment import describe_environment
from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.plan.benchmark import Benchmark, Drawn, FullRun, question_of
from df_heads.benchmarks.harness.plan.flags import folder, run_script, seed
from df_heads.benchmarks.harness.plan.topics import Topic
from df_heads.benchmarks.harness.plots.drawing import require_matplotlib
from df_heads.benchmarks.harness.store.files import write_json, write_text
from df_heads.benchmarks.harness.store.results import ResultFolder
from df_heads.benchmarks.harness.tables.blocks import Block, Details, Paragraph
from df_heads.benchmarks.harness.tables.text import to_markdown, to_terminal
from df_heads.benchmarks.harness.tables.values import NOT_RUN, OutOf
from df_heads.benchmarks.harness.theory.conclusions import conclusions
from df_heads.benchmarks.harness.theory.measured import Measured
from df_heads.benchmarks.harness.theory.plot import draw_theory
from df_heads.benchmarks.harness.theory.setting import Setting
from df_heads.benchmarks.harness.theory.table import (
    Digits,
    Draws,
    Sweep,
    caption,
    median,
    theory_table,
)

BASE = Setting()
NOISE = (0.0, 1e-4, 1e-3, 1e-2, 3e-2, 0.1, 0.3)
VARIED: dict[str, tuple[str, tuple[float, ...]]] = {
    "noise": ("eps", NOISE),
    "angle between clusters": ("angle", (10.0, 20.0, 30.0, 45.0, 60.0, 75.0, 90.0)),
    "sequence length": ("samples", (8, 12, 24, 60, 120, 240, 480)),
    "clusters": ("clusters", (2, 3, 4, 5, 6, 7, 8, 9, 10)),
    "rank": ("rank", (1, 2, 3, 4, 5, 6)),
    "aimed noise": ("eps", NOISE),
}


class Budget(NamedTuple):
    """Seeds, and the search of Algorithm 1."""

    seeds: Sequence[int]
    restarts: int
    iterations: int


FULL = Budget(seeds=(0, 1, 2, 3, 4), restarts=128, iterations=300)
SMOKE = Budget(seeds=(0, 1), restarts=16, iterations=60)
SCHEMA = 1
FILE, FIGURE = "theory.json", "theory.png"
# What of its config a table must have been asked for.
BUDGET_FIELDS = ("smoke", "seeds", "blocks", "restarts", "iterations")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--smoke", action="store_true", help="two seeds, the ends of each sweep, a short search"
    )
    parser.add_argument("--seeds", nargs="+", type=seed, help="default: 0 1 2 3 4 (smoke: 0 1)")
    parser.add_argument("--blocks", type=int, default=10, help="depth (default: %(default)s)")
    parser.add_argument("--out-dir", type=folder, default=Path("runs"), help="default: %(default)s")
    parser.add_argument(
        "--progress", action=argparse.BooleanOptionalAction, default=True, help="progress bar"
    )
    parser.add_argument(
        "--table-only",
        action="store_true",
        help="run nothing; table, figure and conclusions of the theory.json in --out-dir",
    )
    args = parser.parse_args(arguments)
    budget = SMOKE if args.smoke else FULL
    args.seeds = args.seeds or list(budget.seeds)
    args.restarts, args.iterations = budget.restarts, budget.iterations
    if len(set(args.seeds)) < len(args.seeds):
        parser.error("--seeds must be different")
    if not 2 <= args.blocks <= 100:
        parser.error("--blocks must be from 2 to 100: sharpness is followed from block to block")
    return args


def sweeps_of(smoke: bool) -> list[Sweep]:
    """Every factor around the base point; a smoke run keeps the ends and the base."""
    sweeps = []
    for title, (field, values) in VARIED.items():
        base = replace(BASE, noise="aimed") if title.startswith("aimed") else BASE
        kept = [values[0], getattr(BASE, field), values[-1]] if smoke else values
        settings = tuple(replace(base, **{field: value}) for value in dict.fromkeys(kept))
        sweeps.append(Sweep(title, field, settings))
    return sweeps


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measure every setting and seed; the content of theory.json."""
    from df_heads.benchmarks.harness.theory.measuring import measure

    sweeps = sweeps_of(args.smoke)
    # Sweeps cross at the base point.
    settings = list(dict.fromkeys(setting for sweep in sweeps for setting in sweep.settings))
    pairs = [(setting, seed) for setting in settings for seed in args.seeds]
    search = {"restarts": args.restarts, "iterations": args.iterations}
    started = time.perf_counter()
    runs = [
        measure(setting, seed, blocks=args.blocks, **search)
        for setting, seed in tqdm(pairs, desc="theory", unit="draw", disable=not args.progress)
    ]
    return {
        "schema": SCHEMA,
        "config": {
            "base": asdict(BASE),
            "smoke": args.smoke,
            "seeds": args.seeds,
            "blocks": args.blocks,
            **search,
        },
        "environment": msgspec.to_builtins(describe_environment("cpu", 1)),
        "seconds": round(time.perf_counter() - started, 1),
        "runs": [measured.to_json() for measured in runs],
    }


def load(results: ResultFolder) -> tuple[dict[str, Any], list[Sweep], Draws] | None:
    """The config, the sweeps and the draws of theory.json; None if it is not there.

    Raises:
        InputError: If the file is damaged or of other sweeps than this version's.
    """
    content = results.load_file(FILE)
    if content is None:
        return None
    try:
        measured = [Measured.from_json(entry) for entry in content["runs"]]
        seeds, sweeps = content["config"]["seeds"], sweeps_of(content["config"]["smoke"])
        draws = {
            setting: [m for m in measured if m.setting == setting]
            for sweep in sweeps
            for setting in sweep.settings
        }
        if content["schema"] != SCHEMA or any(len(found) != len(seeds) for found in draws.values()):
            raise ValueError("its sweeps are not complete")
        to_terminal(blocks_of(sweeps, draws))  # a number that is none shows only where it is used
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise InputError(
            f"{results.path / FILE} does not fit this version of the script ({error}); move it "
            "away and run again."
        ) from error
    return content["config"], sweeps, draws


def table(args: argparse.Namespace, results: ResultFolder) -> list[Block]:
    """Conclusions and table, from theory.json alone.

    Raises:
        InputError: If the file is damaged, or of another budget than the flags'.
    """
    loaded = load(results)
    if loaded is None:
        return [Paragraph(NOT_RUN)]
    config, sweeps, draws = loaded
    for name in BUDGET_FIELDS:
        if config.get(name) != getattr(args, name):
            raise InputError(
                f"{results.path / FILE} was made with {name}={config.get(name)}, not "
                f"{getattr(args, name)}: give its flags, or another --out-dir."
            )
    return blocks_of(sweeps, draws)


def blocks_of(sweeps: Sequence[Sweep], draws: Draws) -> list[Block]:
    """Conclusions, table and caption."""
    seeds = len(next(iter(draws.values())))
    every: list[Block] = [theory_table(sweeps, draws), caption(BASE, seeds)]
    return [conclusions(sweeps, draws), Details("Every setting that was measured", every)]


def figures(args: argparse.Namespace, results: ResultFolder) -> list[Drawn]:
    """What the figure shows, in words."""
    loaded = load(results)
    if loaded is None:
        return []
    base = loaded[2][BASE]
    every = [measured for draws in loaded[2].values() for measured in draws]
    bounds = [(m, m.sharpness_bound) for m in every if m.sharpness_bound is not None]
    first, last = (median([m.scores[block] for m in base]) for block in (0, -1))
    return [
        Drawn(
            FIGURE,
            "Sharpness of the attention, the median over seeds with a band from the least to the "
            "most. Each panel but the last varies one factor around the base point; the last "
            "follows the blocks there, with what Theorem 2 promises. What lies beyond a panel is "
            "drawn at its edge.",
            f"At the base point the sharpness goes from {Digits(first)} in block 1 to "
            f"{Digits(last)} in block {args.blocks}, while Theorem 2's factor is "
            f"{Digits(median([m.factor_derived for m in base]))}. The bound on block 1 held in "
            f"{OutOf(sum(m.scores[0] >= bound for m, bound in bounds), len(bounds))} draws that "
            "have one.",
        )
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, then write and print figure, table and conclusions."""
    args = parse(arguments)
    results = ResultFolder(args.out_dir)
    require_matplotlib()
    if not args.table_only:
        write_json(results.path / FILE, run(args))
    loaded = load(results)
    if loaded is None:
        raise InputError(f"{results.path / FILE} is not there; run without --table-only first.")
    _, sweeps, draws = loaded
    draw_theory(sweeps, draws, BASE, results.path / FIGURE)
    blocks = blocks_of(sweeps, draws)
    write_text(results.path / "theory.md", to_markdown(blocks) + "\n")
    print(f"\n{to_terminal(blocks)}\n\nWritten: {FILE}, theory.md, theory.png in {results.path}")
    return 0


BENCHMARK = Benchmark(
    name="theory",
    title="Theory",
    question=question_of(__doc__),
    parse=parse,
    table=table,
    main=main,
    full_runs=[FullRun("The paper's theory on data made for it")],
    files=lambda _: [FILE],
    figures=figures,
    topic=lambda _: Topic.THEORY,
)


if __name__ == "__main__":
    sys.exit(run_script(main))
