"""Tables 2 to 6 of the paper, the controls that it lacks and harder tests, in one results folder.

    python benchmarks/run_all.py --smoke              # minutes, no download
    python benchmarks/run_all.py --seeds 0 1 2        # the paper's recipe, on a GPU
    python benchmarks/run_all.py --tables 2 3 4 5 6   # what is in the paper
    python benchmarks/run_all.py --seeds 0 1 2 --status    # what is done, and the time left

Every flag but those below goes to each table's script, so it must be one that all chosen tables
have. Start the command as often as there are GPUs (with CUDA_VISIBLE_DEVICES), or as a job array
with --shard: processes share the cells by locks, a killed one frees its cell, and running the
command again goes on where it stopped. Tables share cells, which are run once.
"""

import argparse
import sys
from collections.abc import Sequence
from functools import cache

from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.base.machine import is_first_process
from df_heads.benchmarks.harness.plan.benchmark import Benchmark, benchmarks
from df_heads.benchmarks.harness.plan.flags import run_script
from df_heads.benchmarks.harness.plan.status import status
from df_heads.benchmarks.harness.store.results import ResultFolder
from df_heads.benchmarks.harness.tables.text import to_terminal


@cache
def tables() -> dict[str, Benchmark]:
    """The benchmarks that this script runs, by what --tables calls them."""
    return {
        benchmark.name.removeprefix("table"): benchmark
        for benchmark in benchmarks().values()
        if benchmark.in_run_all
    }


def parse(arguments: Sequence[str] | None = None) -> tuple[argparse.Namespace, list[str]]:
    """Read the flags of this script; the others are for the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        epilog="The flags of the tables: see run_table2.py --help.",
    )
    parser.add_argument(
        "--tables",
        nargs="+",
        choices=list(tables()),
        default=list(tables()),
        help=f"default: {' '.join(tables())}",
    )
    parser.add_argument(
        "--status", action="store_true", help="run nothing; print how far every table is"
    )
    return parser.parse_known_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the tables, or say how far they are."""
    args, rest = parse(arguments)
    chosen = [tables()[name] for name in args.tables]
    parsed = {benchmark.title: benchmark.parse(rest) for benchmark in chosen}
    if args.status:
        folder = ResultFolder(next(iter(parsed.values())).out_dir)
        jobs = {each.title: each.jobs(parsed[each.title]) for each in chosen}
        print(to_terminal(status(jobs, folder)))
        return 0
    codes = [0]
    for benchmark in chosen:
        if is_first_process():
            print(f"\n== {benchmark.title}", flush=True)
        try:
            codes.append(benchmark.main(rest))
        except InputError as error:
            # What one table cannot run says nothing about the others.
            print(f"error: {benchmark.title}: {error}", file=sys.stderr)
            codes.append(2)
    return max(codes)


if __name__ == "__main__":
    sys.exit(run_script(main))
