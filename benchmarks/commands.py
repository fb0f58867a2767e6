"""What `df-heads` offers of the benchmarks: their scripts, opened with the arguments that follow.

Each is a command as `df_heads.integrations.command.main` finds it.
"""

import argparse
import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from df_heads.integrations.errors import InputError


@dataclass(frozen=True)
class Script:
    """A command that parses its arguments itself.

    Attributes:
        name: What is typed.
        help: One line.
        open: Runs the script with its arguments.
    """

    name: str
    help: str
    open: Callable[[Sequence[str]], int]
    passes_on: bool = True

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """None of its own."""

    def run(self, args: argparse.Namespace) -> int:
        """Open the script."""
        return self.open(args.arguments)


def _tables(arguments: Sequence[str]) -> int:
    from df_heads.benchmarks.harness.plan.benchmark import benchmarks

    known = benchmarks()
    if not arguments or arguments[0] in ("-h", "--help"):
        width = max(map(len, known))
        print("usage: df-heads tables NAME ..., NAME one of\n")
        print("\n".join(f"  {name:{width}}  {each.title}" for name, each in known.items()))
        print("\ndf-heads tables NAME --help tells of one.")
        return 0
    name, *rest = arguments
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f" did you mean {near[0]}?" if near else ""
        raise InputError(f"there is no table {name!r};{hint} choose from {', '.join(known)}.")
    return _script(known[name].main, rest)


def _speed(arguments: Sequence[str]) -> int:
    return _tables(["speed", *arguments])


def _report(arguments: Sequence[str]) -> int:
    from df_heads.benchmarks.run_report import main

    return _script(main, arguments)


def _script(main: Callable[[Sequence[str] | None], int], arguments: Sequence[str]) -> int:
    from df_heads.benchmarks.harness.plan.flags import run_script

    return run_script(main, arguments)


tables = Script("tables", "make the paper's tables, or the controls it lacks", _tables)
speed = Script("speed", "measure how long the parts of a training step take", _speed)
report = Script("report", "write RESULTS.md and report.html from result files", _report)
