"""An argument parser that guesses what a mistyped flag or name was to be."""

import argparse
import difflib
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn


class Parser(argparse.ArgumentParser):
    """Says bad input in one sentence, with the flag that was likely meant; exit code 2."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Print one sentence and end."""
        unknown = re.match(r"unrecognized arguments: (--?[\w-]+)", message)
        if unknown is not None:
            known = [flag for flag in self._option_string_actions if flag.startswith("--")]
            near = nearest_flag(unknown[1], known)
            hint = f"did you mean {near}? " if near else ""
            message = f"there is no flag {unknown[1]}; {hint}{self.prog} --help names them all."
        print(f"error: {message}", file=sys.stderr)
        self.exit(2)


def nearest_flag(flag: str, known: Iterable[str]) -> str | None:
    """The flag that was likely meant: near in spelling, of these initials, or with this word.

    >>> nearest_flag("--lr", ["--epochs", "--learning-rate"])
    '--learning-rate'
    >>> nearest_flag("--batchsize", ["--batch-size"])
    '--batch-size'
    >>> nearest_flag("--batch", ["--batch-size"])
    '--batch-size'
    """
    flags = list(known)
    word = flag.lstrip("-")
    for candidate in flags:
        words = candidate.lstrip("-").split("-")
        if len(words) > 1 and (word == "".join(w[0] for w in words) or word in words):
            return candidate
    return next(iter(difflib.get_close_matches(flag, flags, n=1)), None)


def one_of(choices: Sequence[str]) -> Callable[[str], str]:
    """An argparse type: one of the choices, or an error that guesses and lists them."""

    def check(value: str) -> str:
        if value not in choices:
            raise argparse.ArgumentTypeError(unknown(value, choices))
        return value

    return check


def unknown(name: str, known: Sequence[str]) -> str:
    """A sentence about a name that is not known."""
    near = difflib.get_close_matches(name, known, n=1)
    hint = f" did you mean {near[0]}?" if near else ""
    return f"{name!r} is not known;{hint} choose from {', '.join(known)}"
