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
from typing import Protocol

from df_heads.benchmarks import (
    run_controls,
    run_robustness,
    run_table2,
    run_table3,
    run_table4,
    run_table5,
    run_table6,
)
from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.base.machine import is_first_process
from df_heads.benchmarks.harness.plan.flags import run_script
from df_heads.benchmarks.harness.plan.status import status_text
from df_heads.benchmarks.harness.store.results import ResultFolder
from df_heads.benchmarks.harness.sweep.jobs import Job


class TableScript(Protocol):
    """What a script of this folder that makes tables offers."""

    def parse(self, arguments: Sequence[str] | None, /) -> argparse.Namespace:
        """Read its command line."""

    def jobs(self, args: argparse.Namespace, /) -> list[Job]:
        """Its cells."""

    def table(self, args: argparse.Namespace, results: ResultFolder, /) -> str:
        """Its text, from the result files."""

    def main(self, arguments: Sequence[str] | None, /) -> int:
        """Run what is missing, then write and print the table."""


TABLES: dict[str, TableScript] = {
    "2": run_table2,
    "3": run_table3,
    "4": run_table4,
    "5": run_table5,
    "6": run_table6,
    "controls": run_controls,
    "robustness": run_robustness,
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
        choices=list(TABLES),
        default=list(TABLES),
        help=f"default: {' '.join(TABLES)}",
    )
    parser.add_argument(
        "--status", action="store_true", help="run nothing; print how far every table is"
    )
    return parser.parse_known_args(arguments)


def _title(name: str) -> str:
    return f"Table {name}" if name.isdigit() else name.capitalize()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the tables, or say how far they are."""
    args, rest = parse(arguments)
    scripts = {name: TABLES[name] for name in args.tables}
    parsed = {name: script.parse(rest) for name, script in scripts.items()}
    if args.status:
        folder = ResultFolder(next(iter(parsed.values())).out_dir)
        jobs = {_title(name): scripts[name].jobs(parsed[name]) for name in scripts}
        print(status_text(jobs, folder))
        return 0
    codes = [0]
    for name, script in scripts.items():
        if is_first_process():
            print(f"\n== {_title(name)}", flush=True)
        try:
            codes.append(script.main(rest))
        except InputError as error:
            # What one table cannot run says nothing about the others.
            print(f"error: {_title(name)}: {error}", file=sys.stderr)
            codes.append(2)
    return max(codes)


if __name__ == "__main__":
    sys.exit(run_script(main))
