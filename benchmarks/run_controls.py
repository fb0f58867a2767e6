"""Controls that the paper lacks: where does the head's gain come from, and when is there one?

    python benchmarks/run_controls.py --smoke                          # minutes, no download
    python benchmarks/run_controls.py --suites mixing --seeds 0 1 2    # the first one to run
    python benchmarks/run_controls.py --seeds 0 1 2                    # all, on a GPU
    python benchmarks/run_controls.py --measure-equal-time             # prints --equal-time-dim

Each suite asks one question and writes a table of paired gains with verdicts, and a figure of the
training losses. The suite mechanism judges its hypotheses together, on the seeds that its protocol
states (docs/mechanism.md). Suites share cells with each other and with Table 2; running the command
again does only what is missing.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.base.experiment import Experiment
from df_heads.benchmarks.harness.base.machine import is_first_process
from df_heads.benchmarks.harness.base.names import file_name
from df_heads.benchmarks.harness.base.paper import ABLATION_DATASET, ABLATION_SIZE
from df_heads.benchmarks.harness.plan import cells
from df_heads.benchmarks.harness.plan.benchmark import Benchmark, Drawn, FullRun, question_of
from df_heads.benchmarks.harness.plan.control_suites import FEEDFORWARD, SUITES, TRANSFORMER
from df_heads.benchmarks.harness.plan.controls import (
    configurations,
    draw_suite,
    suite_figures,
    suite_jobs,
    suite_table,
)
from df_heads.benchmarks.harness.plan.flags import known, machine_from, run_script
from df_heads.benchmarks.harness.plan.table_script import run_table
from df_heads.benchmarks.harness.plan.topics import Topic
from df_heads.benchmarks.harness.store.results import ResultFolder
from df_heads.benchmarks.harness.sweep.jobs import Job
from df_heads.benchmarks.harness.tables.blocks import Block

# The backbone of the smoke has one stem only, to compile takes longer than all the rest, the heads
# of the mechanism are many, and the cell of equal step time is not timed.
SMOKE = {
    **cells.SMOKE,
    "epochs": 2,
    "suites": [name for name in SUITES if name not in ("stem", "step", "mechanism")],
    "equal_time_dim": 256,
}


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = cells.table_parser(
        __doc__, datasets=[ABLATION_DATASET], sizes=[ABLATION_SIZE], heads=None
    )
    parser.epilog = "suites:\n" + "\n".join(
        f"  {name:13} {suite.question}" for name, suite in SUITES.items()
    )
    parser.add_argument(
        "--suites",
        nargs="+",
        type=known(SUITES),
        default=list(SUITES),
        metavar="NAME",
        help="of those below (default: all)",
    )
    parser.add_argument(
        "--equal-time-dim",
        type=int,
        metavar="WIDTH",
        help="hidden width at which the feed-forward head takes as long as the Transformer head, "
        "for the suite baselines; the same in every process that fills one --out-dir. "
        "run_controls.py --measure-equal-time, with the flags of the runs, prints it",
    )
    parser.add_argument(
        "--measure-equal-time",
        action="store_true",
        help="train nothing; find --equal-time-dim for this device, --batch-size and --precision "
        "by timing the two heads in turn, and print it",
    )
    args = cells.parse_with_smoke(parser, arguments, SMOKE)
    args.suites = list(dict.fromkeys(args.suites))
    _check_equal_time(parser, args)
    _refuse_flags_without_effect(parser, args)
    return args


def _check_equal_time(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    width, usual = args.equal_time_dim, parser.get_default("equal_time_dim")
    if width is not None and width < 1:
        parser.error(f"--equal-time-dim {width} must be at least 1")
    if width != usual and "baselines" not in args.suites:
        parser.error(
            f"--equal-time-dim {width} is for the suite baselines; add it to --suites, or leave "
            "the flag out"
        )
    backbones = {_equal_time_cell(args, name, FEEDFORWARD).backbone for name in args.datasets}
    if (width != usual or args.measure_equal_time) and len(backbones) * len(args.sizes) > 1:
        parser.error(
            "an equal-time width holds for one size of head on one backbone; choose one of "
            "--sizes, and --datasets of one backbone"
        )


def _equal_time_cell(args: argparse.Namespace, dataset: str, family: str) -> Experiment:
    return cells.cell(args, dataset, f"{family}-{args.sizes[0]}", args.seeds[0])


def _refuse_flags_without_effect(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    for name in args.suites:
        suite = SUITES.find(name)
        every = [e for one in configurations(args, suite) for e in one.experiments.values()]
        changed = {field for variant in suite.variants(args) for field in variant.changes}
        for varied in changed & vars(args).keys():
            value = getattr(args, varied)  # None: not given
            if value is not None and value not in {
                getattr(experiment, varied) for experiment in every
            }:
                parser.error(
                    f"--{varied.replace('_', '-')} {value} has no cell in the suite {name}, which "
                    "sets its own; leave it out, or choose other --suites"
                )


def jobs(args: argparse.Namespace) -> list[Job]:
    """The cells of the suites asked for."""
    every = [job for name in args.suites for job in suite_jobs(args, SUITES.find(name))]
    return list(dict.fromkeys(every))


def table(args: argparse.Namespace, results: ResultFolder) -> list[Block]:
    """The tables of the suites asked for, from their result files."""
    load = cells.loader(args, results)
    return [
        block for name in args.suites for block in suite_table(args, name, SUITES.find(name), load)
    ]


def draw(args: argparse.Namespace, results: ResultFolder) -> list[Path]:
    """The losses and accuracies of the suites asked for, and the gains of hypotheses."""
    return [
        file
        for name in args.suites
        for file in draw_suite(args, SUITES.find(name), results, results.path / _stem(args, name))
    ]


def figures(args: argparse.Namespace, results: ResultFolder) -> list[Drawn]:
    """What `draw` draws, in words."""
    return [
        drawn
        for name in args.suites
        for drawn in suite_figures(args, SUITES.find(name), results, Path(_stem(args, name)))
    ]


def topic(args: argparse.Namespace) -> Topic:
    """That of the suites asked for; of several, the first."""
    return SUITES.find(args.suites[0]).topic


def _stem(args: argparse.Namespace, suite: str) -> str:
    return cells.file_stem(f"controls-{file_name(suite)}", args)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing, suite by suite, with a table and a figure for each."""
    args = parse(arguments)
    if args.measure_equal_time:
        from df_heads.benchmarks.harness.speed.equal_time import measure_equal_time

        feedforward, transformer = (
            _equal_time_cell(args, args.datasets[0], name) for name in (FEEDFORWARD, TRANSFORMER)
        )
        print(measure_equal_time(feedforward, transformer, machine_from(args).device))
        return 0
    codes = [0]
    for name in args.suites:
        if is_first_process():
            print(f"\n== {name}", flush=True)
        one = argparse.Namespace(**{**vars(args), "suites": [name]})
        try:
            codes.append(run_table(f"controls-{file_name(name)}", one, jobs(one), table, draw))
        except InputError as error:
            # What one suite cannot run says nothing about the others.
            print(f"error: {name}: {error}", file=sys.stderr)
            codes.append(2)
    return max(codes)


BENCHMARK = Benchmark(
    name="controls",
    title="Controls",
    question=question_of(__doc__),
    parse=parse,
    table=table,
    main=main,
    full_runs=[
        FullRun(
            f"Controls, {name}",
            f"--suites {name} --seeds {' '.join(map(str, suite.seeds))}",
            suite.question,
        )
        for name, suite in SUITES.items()
    ],
    jobs=jobs,
    figures=figures,
    topic=topic,
    in_run_all=True,
)


if __name__ == "__main__":
    sys.exit(run_script(main))
