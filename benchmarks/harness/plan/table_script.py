"""What every run_table*.py does: run what is missing, write and print the table, draw."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from df_heads.benchmarks.harness.base.errors import InputError, trouble_of_the_machine
from df_heads.benchmarks.harness.base.machine import is_first_process
from df_heads.benchmarks.harness.plan.cells import file_stem
from df_heads.benchmarks.harness.plan.flags import machine_from, source_from
from df_heads.benchmarks.harness.store.files import write_text
from df_heads.benchmarks.harness.store.results import ResultFolder
from df_heads.benchmarks.harness.sweep.jobs import Job
from df_heads.benchmarks.harness.tables.blocks import Block
from df_heads.benchmarks.harness.tables.text import to_markdown, to_terminal

MakeTable = Callable[[argparse.Namespace, ResultFolder], Sequence[Block]]
Draw = Callable[[argparse.Namespace, ResultFolder], Sequence[Path]]


def run_table(
    name: str,
    args: argparse.Namespace,
    jobs: Sequence[Job],
    table: MakeTable,
    draw: Draw | None = None,
) -> int:
    """Run the jobs of this shard that are missing, then write the table and the figures.

    With --table-only nothing is run. Without matplotlib there is no figure, and one sentence
    says so.

    Args:
        name: File name of the table, without its ending.
        args: The parsed flags of `cells.table_parser`.
        jobs: The table's cells.
        table: Makes it from the result files.
        draw: Writes its figures and returns their files.

    Returns:
        The exit code: 1 if a run failed.
    """
    results, machine = ResultFolder(args.out_dir), machine_from(args)
    failures = []
    if not args.table_only:
        from df_heads.benchmarks.harness.sweep.missing import run_missing

        failures = run_missing(jobs, source_from(args), results, machine, args.shard)
    if not is_first_process():
        return 0
    blocks = table(args, results)
    file = results.path / f"{file_stem(name, args)}.md"
    print(f"\n{to_terminal(blocks)}\n")
    try:
        write_text(file, to_markdown(blocks) + "\n")
        print(f"Table: {file}")
    except OSError as error:  # a finished folder may be on a read-only disk
        print(f"No file of the table: {trouble_of_the_machine(error) or error}", file=sys.stderr)
    if draw is not None:
        try:
            print(f"Figure: {', '.join(map(str, draw(args, results)))}")
        except InputError as error:
            print(f"No figure: {error}", file=sys.stderr)
        except OSError as error:
            print(f"No figure: {trouble_of_the_machine(error) or error}", file=sys.stderr)
    for failure in failures:
        print(f"failed: {failure}", file=sys.stderr)
    return 1 if failures else 0
