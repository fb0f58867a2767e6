"""The console command `df-heads`."""

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Protocol, cast

import df_heads
from df_heads.integrations.command.parser import Parser, unknown
from df_heads.integrations.command.running import run_command
from df_heads.integrations.errors import InputError

GROUP = "df_heads.commands"
#: Those that a new user needs come first, the others by name.
ORDER = ("train", "look", "evaluate", "export")


class Command(Protocol):
    """A subcommand: a module or object under an entry point of the group `df_heads.commands`.

    It imports nothing heavy before it runs. With an attribute ``passes_on = True`` it parses its
    arguments itself: they are in ``args.arguments``.

    Attributes:
        name: What is typed.
        help: One line.
    """

    name: str
    help: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add its arguments."""

    def run(self, args: argparse.Namespace) -> int:
        """Run it and return the exit code."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand; see run_command for the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    return run_command(lambda: _run(words))


def _run(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help"):
        print(_help())
        return 0
    if words[0] == "--version":
        print(f"df-heads {df_heads.__version__}")
        return 0
    command = find_command(words[0])
    if getattr(command, "passes_on", False):
        return command.run(argparse.Namespace(arguments=words[1:]))
    return command.run(command_parser(command).parse_args(words[1:]))


def found_commands() -> dict[str, EntryPoint]:
    """The entry points of all subcommands by name, in the order of the help."""
    points = {point.name: point for point in entry_points(group=GROUP)}
    names = [*(n for n in ORDER if n in points), *sorted(points.keys() - set(ORDER))]
    return {name: points[name] for name in names}


def find_command(name: str) -> Command:
    """The subcommand of a name.

    Raises:
        InputError: If there is none, or it does not import.
    """
    points = found_commands()
    if name not in points:
        raise InputError(f"the command {unknown(name, list(points))}.")
    return _load(points[name])


def command_parser(command: Command) -> Parser:
    """The parser of one subcommand."""
    parser = Parser(
        prog=f"df-heads {command.name}",
        description=f"{command.help[:1].upper()}{command.help[1:]}.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_arguments(parser)
    return parser


def _load(point: EntryPoint) -> Command:
    try:
        return cast(Command, point.load())
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"the command {point.name!r} ({point.value}) does not import: {error}; mend or "
            "uninstall the package that brings it."
        ) from error


def _help() -> str:
    points = found_commands()
    width = max(map(len, points), default=0)
    lines = [f"  {name:{width}}  {_load(point).help}" for name, point in points.items()]
    return "\n".join(
        [
            "usage: df-heads COMMAND ...",
            "",
            "Self-supervised training with projection heads that attend over the batch.",
            "",
            *lines,
            "",
            "df-heads COMMAND --help tells of one. A first run: df-heads train FOLDER",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
