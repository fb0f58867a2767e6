"""Blocks as text: for a terminal as they are, for a Markdown file with markup escaped."""

import os
import re
from collections.abc import Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from df_heads.benchmarks.harness.tables.blocks import (
    Block,
    Bullets,
    Code,
    Contents,
    Details,
    Figure,
    Heading,
    Inline,
    Link,
    Listing,
    Paragraph,
    Strong,
    Table,
    Text,
    pieces,
)

# What Markdown takes for markup within a line: escapes, code, emphasis, links and their
# definitions, tags, entities. A lone "<", "[3, 12]" and "a_b" are none.
_MARKUP = re.compile(
    r"\\(?=[!-/:-@\[-`{-~]|$)|[`~]|(?<!\s)\*|\*(?!\s)|(?<!\w)_|_(?!\w)|\](?=[(\[:])"
    r"|<(?=[A-Za-z/!?])|&(?=#?\w+;)",
    re.MULTILINE,
)
_MARKUP_OF_LINKS = re.compile(rf"[\[\]]|{_MARKUP.pattern}", re.MULTILINE)
# And at the start of a line: numbers of lists; headings, bullets, quotes, rules.
_START = re.compile(
    r"^(?:\d{1,9}(?=[.)](?:\s|$))|(?=#{1,6}(?:\s|$)|[-+](?:\s|$)|>|=|---))", re.MULTILINE
)


def to_terminal(blocks: Sequence[Block]) -> str:
    """What a terminal shows."""
    return _join(blocks, _Terminal(Path()))


def to_markdown(blocks: Sequence[Block], folder: Path = Path()) -> str:
    """Markdown that shows every string as it is.

    Args:
        blocks: The document.
        folder: Where the page will be; its links to files are relative to it.
    """
    return _join(blocks, _Markdown(folder))


def printable(text: str) -> str:
    """Text without a terminal's controls and other characters that cannot be printed."""

    def shown(character: str) -> str:
        if character.isprintable() or character == "\n":
            return character
        return " " if character.isspace() else "\ufffd"

    return "".join(map(shown, text))


def link_address(target: Path | str, folder: Path) -> str:
    """The URL of a link's target, as seen from the folder of the page."""
    if isinstance(target, Path):
        return quote(Path(os.path.relpath(target, folder)).as_posix())
    return re.sub(r"[\s\\\"<>()`|]", lambda found: quote(found[0]), target)


def _join(blocks: Sequence[Block], writer: "_Terminal") -> str:
    return "\n\n".join(map(writer.block, blocks))


class _Terminal:
    """Writes blocks with the marks of Markdown, which read well on a terminal too."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def block(self, block: Block) -> str:
        match block:
            case Heading():
                return f"{'#' * block.level} {self.line(block.text)}"
            case Paragraph():
                return "\n".join(self.paragraph_line(line) for line in block.lines)
            case Bullets():
                return "\n".join(f"- {self.start(self.line(item))}" for item in block.items)
            case Contents():
                return "\n".join(
                    line
                    for part, inside in block.entries
                    for line in (
                        f"- {self.inline(part)}",
                        *(f"  - {self.inline(link)}" for link in inside),
                    )
                )
            case Listing():
                fence = "`" * max(3, _longest_run(block.code) + 1)
                return f"{fence}{block.language}\n{printable(block.code)}\n{fence}"
            case Figure():
                return f"!{self.inline(Link(block.alt, block.file))}\n\n{self.line(block.caption)}"
            case Table():
                return self.table(block)
            case Details():
                return self.details(block)

    def details(self, details: Details) -> str:
        return "\n\n".join([f"{self.line(details.title)}:", *map(self.block, details.blocks)])

    def table(self, table: Table) -> str:
        cells = [[self.cell(cell) for cell in row] for row in (table.headings, *table.rows)]
        # A rule is "-" at the least, and "-:" of numbers.
        widths = [
            max(1 + right, *map(len, column))
            for column, right in zip(zip(*cells, strict=True), table.right, strict=True)
        ]
        lines = [
            [
                cell.rjust(width) if right else cell.ljust(width)
                for cell, width, right in zip(row, widths, table.right, strict=True)
            ]
            for row in cells
        ]
        rule = [
            "-" * (width - 1) + (":" if right else "-")
            for width, right in zip(widths, table.right, strict=True)
        ]
        return "\n".join(f"| {' | '.join(line)} |" for line in (lines[0], rule, *lines[1:]))

    def paragraph_line(self, text: Text) -> str:
        """A line whose own line breaks stay, without empty lines, which would end it."""
        joined = "".join(self.inline(piece) for piece in pieces(text))
        return self.start(re.sub(r"\s*\n\s*", "\n", joined).strip())

    def line(self, text: Text) -> str:
        return " ".join("".join(self.inline(piece) for piece in pieces(text)).split())

    def cell(self, text: object) -> str:
        return self.line(text if isinstance(text, Inline) else str(text))

    def inline(self, piece: Inline) -> str:
        match piece:
            case Strong():
                return f"**{self.text(piece.text)}**"
            case Code():
                return _code(printable(" ".join(piece.text.split())))
            case Link():
                address = link_address(piece.target, self.folder)
                return f"[{self.link_text(piece.text)}]({address})"
            case str():
                return self.text(piece)

    def text(self, text: str) -> str:
        return re.sub(r" +", " ", printable(text))

    def link_text(self, text: str) -> str:
        return " ".join(self.text(text).split())

    def start(self, line: str) -> str:
        return line


class _Markdown(_Terminal):
    """Escapes what would be markup in a string; folds by the tags that GitHub knows."""

    def details(self, details: Details) -> str:
        title = escape(" ".join(printable(details.title).split()))
        opening = f"<details>\n<summary>{title}</summary>"
        return "\n\n".join([opening, *map(self.block, details.blocks), "</details>"])

    def text(self, text: str) -> str:
        return _MARKUP.sub(r"\\\g<0>", super().text(text))

    def link_text(self, text: str) -> str:
        return _MARKUP_OF_LINKS.sub(r"\\\g<0>", " ".join(_Terminal.text(self, text).split()))

    def cell(self, text: object) -> str:
        return super().cell(text).replace("|", r"\|")

    def start(self, line: str) -> str:
        return _START.sub(r"\g<0>\\", line)


def _code(text: str) -> str:
    if not text:
        return ""
    fence = "`" * (_longest_run(text) + 1)
    space = " " if len(fence) > 1 else ""
    return f"{fence}{space}{text}{space}{fence}"


def _longest_run(text: str) -> int:
    """Of backticks."""
    return max(map(len, re.findall("`+", text)), default=0)
