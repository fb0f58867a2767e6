"""The small part of Markdown that the report is written in."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

_SPECIAL = re.compile(r"[\\`*\[\]<>|]|(?<!\w)_|_(?!\w)")
_RULE = re.compile(r"\|(?:\s*:?-+:?\s*\|)+")


def plain(text: str) -> str:
    """Text of somebody else's, on one line, that Markdown shows as it is."""
    return _SPECIAL.sub(r"\\\g<0>", " ".join(text.split()))


def link(text: str, file: Path, page_folder: Path) -> str:
    """A link to a file, relative to the folder of the page."""
    return f"[{plain(text)}]({relative(file, page_folder)})"


def relative(file: Path, page_folder: Path) -> str:
    """A file as seen from the folder of the page, as part of a URL."""
    return quote(Path(os.path.relpath(file, page_folder)).as_posix())


def slug(title: str) -> str:
    """The anchor that GitHub gives a heading."""
    text = re.sub(r"[^\w\- ]", "", title.lower())
    return text.replace(" ", "-")


@dataclass(frozen=True)
class Table:
    """A Markdown table.

    Attributes:
        header: The headings.
        right: Whether each column is set to the right.
        rows: The cells.
    """

    header: Sequence[str]
    right: Sequence[bool]
    rows: Sequence[Sequence[str]]


def read_table(block: str) -> Table | None:
    """The table of a block of lines; None if it is none."""
    lines = block.strip().splitlines()
    if len(lines) < 2 or not _RULE.fullmatch(lines[1].strip()):
        return None
    header, rule, *rows = [_split(line) for line in lines]
    if any(len(row) != len(header) for row in (rule, *rows)):
        return None
    return Table(header, [mark.endswith(":") for mark in rule], rows)


def tables(text: str) -> list[Table]:
    """All tables of a text whose blocks are told apart by empty lines."""
    return [table for block in text.split("\n\n") if (table := read_table(block)) is not None]


def _split(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]
