"""df-heads completion: what makes a shell complete commands and flags."""

import argparse

from df_heads.integrations.command.parser import Parser, one_of
from df_heads.integrations.errors import InputError

name = "completion"
help = "print a shell's completion script, as in: source <(df-heads completion bash)"

SHELLS = ("bash", "zsh", "tcsh")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of this command."""
    parser.add_argument("shell", type=one_of(SHELLS), metavar="SHELL", help=", ".join(SHELLS))


def run(args: argparse.Namespace) -> int:
    """Print the script.

    Raises:
        InputError: If shtab is missing.
    """
    from df_heads.integrations.command.main import find_command, found_commands

    try:
        import shtab
    except ImportError as error:
        raise InputError(
            "completion needs shtab: pip install shtab, or 'df-heads[completion]'"
        ) from error
    parser = Parser(prog="df-heads")
    commands = parser.add_subparsers()
    for each in found_commands():
        command = find_command(each)
        sub = commands.add_parser(each, help=command.help)
        if not getattr(command, "passes_on", False):
            command.add_arguments(sub)
    print(shtab.complete(parser, shell=args.shell))
    return 0
