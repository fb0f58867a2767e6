"""Tunes each head's learning rate on images held out from the training set.

    python benchmarks/run_tuning.py --smoke                                   # no download
    python benchmarks/run_tuning.py --datasets cifar100 --epochs 100          # four rates for each

Every head gets the same rates, epochs and seeds; --further-rates are for heads whose best rate is
the lowest or the highest tried so far, one at a time until the best one lies inside. The test set
is not looked at: a tenth of each training class is neither trained on nor probed with, and the rate
with the best nearest-neighbour accuracy within it is chosen. Every run is stored like any other;
running it again does only what is missing. Prints the flag that hands the rates to the tables.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace

from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.base.experiment import Experiment
from df_heads.benchmarks.harness.base.machine import is_first_process
from df_heads.benchmarks.harness.evaluate.standard import UNSUPERVISED
from df_heads.benchmarks.harness.plan import cells
from df_heads.benchmarks.harness.plan.benchmark import Benchmark, FullRun, question_of
from df_heads.benchmarks.harness.plan.flags import run_script
from df_heads.benchmarks.harness.plan.table_script import run_table
from df_heads.benchmarks.harness.plan.topics import Topic
from df_heads.benchmarks.harness.plan.tuning import (
    CRITERION,
    choose,
    counts,
    next_rate,
    notes,
    rate_of,
    tuning_table,
)
from df_heads.benchmarks.harness.store.files import write_json
from df_heads.benchmarks.harness.store.results import ResultFolder
from df_heads.benchmarks.harness.sweep.jobs import Job
from df_heads.benchmarks.harness.tables.blocks import Block, Paragraph
from df_heads.benchmarks.harness.tables.runs import Configuration, Runs

NAME = "tuning"
RATES = (0.03, 0.1, 0.3, 0.6)
SMOKE = {**cells.SMOKE, "seeds": [0], "rates": [0.03, 0.1]}


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = cells.table_parser(__doc__, datasets=["cifar100"], sizes=["small"])
    parser.add_argument(
        "--rates",
        nargs="+",
        type=float,
        default=list(RATES),
        metavar="RATE",
        help=f"default: {' '.join(f'{rate:g}' for rate in RATES)}",
    )
    parser.add_argument(
        "--further-rates",
        nargs="+",
        type=float,
        default=[],
        metavar="RATE",
        help="to add for a head whose best rate is the lowest or highest tried, the nearest first "
        "(default: none)",
    )
    parser.add_argument(
        "--holdout",
        type=float,
        default=0.1,
        help="share of each training class to hold out (default: %(default)s)",
    )
    args = cells.parse_with_smoke(parser, arguments, SMOKE)
    if args.learning_rates:
        parser.error("--learning-rates is what this script finds; give what to try to --rates")
    if len(args.datasets) > 1:
        parser.error("one data set at a time: give --datasets one name")
    return args


def cell(args: argparse.Namespace, head: str, rate: float, seed: int) -> Experiment:
    """One head at one rate, evaluated on held-out images."""
    if not 0 < args.holdout < 1:
        raise InputError(f"--holdout {args.holdout:g} must be above 0 and below 1, such as 0.1.")
    experiment = cells.cell(args, args.datasets[0], head, seed)
    return replace(experiment, learning_rate=rate, holdout=args.holdout)


def jobs(args: argparse.Namespace) -> list[Job]:
    """Every head at every rate, one seed after the other, and the further rates known by now."""
    every = tried(args, ResultFolder(args.out_dir, create=False))
    return [
        Job(runs.configuration.experiments[seed], label=f"learning rate {rate_of(runs):g}")
        for seed in args.seeds
        for runs in every
    ]


def tried(args: argparse.Namespace, results: ResultFolder) -> list[Runs]:
    """What was run or is to be, by head and rate."""
    return [runs for head in cells.presets(args) for runs in _tried_of(args, results, head)]


def _tried_of(args: argparse.Namespace, results: ResultFolder, head: str) -> list[Runs]:
    def runs(rate: float) -> Runs:
        experiments = {seed: cell(args, head, rate, seed) for seed in args.seeds}
        return Runs(Configuration((), head, experiments), results.load)

    def ended(one: Runs) -> bool:
        return all(
            seed in one.results or results.failure(experiment) is not None
            for seed, experiment in one.configuration.experiments.items()
        )

    every = [runs(rate) for rate in args.rates]
    while args.further_rates and all(map(ended, every)):
        further = next_rate(every, args.further_rates)
        if further is None:
            break
        every.append(runs(further))
    return every


def table(args: argparse.Namespace, results: ResultFolder) -> list[Block]:
    """The search, its outcome and the flag to paste."""
    every = tried(args, results)
    chosen = choose(every)
    intro = (
        f"{args.datasets[0]}, {args.method}, {args.epochs} epochs: {CRITERION} accuracy on "
        f"{args.holdout:.0%} of the training images, held out, by learning rate."
    )
    sentences = notes(every)
    if chosen:
        flag = " ".join(f"{head}={rate:g}" for head, rate in chosen.items())
        sentences.append(f"For the tables: --learning-rates {flag}")
    return [Paragraph(intro), tuning_table(every), *map(Paragraph, sentences)]


def store(args: argparse.Namespace, results: ResultFolder) -> None:
    """Write the search and its outcome as tuning.json."""
    every = tried(args, results)
    content = {
        "dataset": args.datasets[0],
        "method": args.method,
        "holdout": args.holdout,
        "criterion": CRITERION,
        "chosen": choose(every),
        "trials": [
            {
                "head": runs.configuration.head,
                "learning_rate": rate_of(runs),
                "counts": counts(runs),
                "accuracy": runs.accuracies(UNSUPERVISED),
                "keys": {seed: result.key for seed, result in runs.results.items()},
            }
            for runs in every
        ],
    }
    write_json(results.path / f"{cells.file_stem(NAME, args)}.json", content)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing, then print the choice and the flag to paste."""
    args = parse(arguments)
    while True:
        wanted = jobs(args)
        code = run_table(NAME, args, wanted, table)
        # What was found may ask for further rates, and a share never ends the others'.
        if args.table_only or jobs(args) == wanted:
            break
    if is_first_process():
        store(args, ResultFolder(args.out_dir))
    return code


BENCHMARK = Benchmark(
    name="tuning",
    title="Tuning",
    question=question_of(__doc__),
    parse=parse,
    table=table,
    main=main,
    full_runs=[FullRun("A learning rate for each head", "--epochs 100")],
    jobs=jobs,
    topic=lambda _: Topic.TUNING,
)


if __name__ == "__main__":
    sys.exit(run_script(main))
