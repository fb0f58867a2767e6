"""A document as data: a sequence of blocks, which `text` and `html` render.

Text in a block is shown as it is, whatever it holds: what should be bold, code or a link is a
`Strong`, a `Code` or a `Link`, never markup within a string.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from df_heads.benchmarks.harness.tables.values import Value


@dataclass(frozen=True)
class Strong:
    """Bold text."""

    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Code:
    """Code within a line."""

    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Link:
    """A link.

    Attributes:
        text: What is shown.
        target: A file, which the page links relatively, or "#anchor", or an http(s) address.

    Raises:
        ValueError: If the target is of another kind.
    """

    text: str
    target: Path | str

    def __post_init__(self) -> None:
        if isinstance(self.target, str) and not re.match(r"#|https?://", self.target):
            raise ValueError(f"link target {self.target!r} must be a Path, #anchor or http(s)://.")

    def __str__(self) -> str:
        return self.text


Inline = str | Strong | Code | Link
#: One piece, or several that stand in one line without anything between them.
Text = Inline | Sequence[Inline]
Cell = Inline | Value


@dataclass(frozen=True)
class Heading:
    """A heading; 1 is the page's."""

    level: int
    text: str

    @property
    def anchor(self) -> str:
        """Its anchor, as GitHub makes it."""
        return anchor(self.text)


@dataclass(frozen=True, init=False)
class Paragraph:
    """Lines that belong together."""

    lines: tuple[Text, ...]

    def __init__(self, *lines: Text) -> None:
        object.__setattr__(self, "lines", lines)


class Lead(Paragraph):
    """The lines that a reader in a hurry reads: what comes of it all."""


@dataclass(frozen=True)
class Contents:
    """Links to the page's parts.

    Attributes:
        entries: A link to each part, and those to what is in it.
    """

    entries: Sequence[tuple[Link, Sequence[Link]]]


@dataclass(frozen=True)
class Bullets:
    """A list."""

    items: Sequence[Text]


@dataclass(frozen=True)
class Listing:
    """Lines of code, in a language that Markdown knows."""

    code: str
    language: str


@dataclass(frozen=True)
class Figure:
    """A picture.

    Attributes:
        caption: What is drawn, and how to read it.
        file: A PNG file.
        alt: What is to be seen, for those who do not see it.
    """

    caption: str
    file: Path
    alt: str


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        headings: One for each column.
        rows: The cells of each row.

    Raises:
        ValueError: If a row has more or fewer cells than there are columns.
    """

    headings: Sequence[str]
    rows: Sequence[Sequence[Cell]]

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.headings):
                raise ValueError(f"{len(row)} cells in a table of {len(self.headings)} columns.")

    @property
    def right(self) -> list[bool]:
        """Whether each column is set to the right: those with numbers are."""
        return [
            any(_is_numeric(str(row[column])) for row in self.rows)
            for column in range(len(self.headings))
        ]


@dataclass(frozen=True)
class Details:
    """Blocks that are folded away until they are asked for.

    Attributes:
        title: What stands there in their place.
        blocks: What is folded.
    """

    title: str
    blocks: Sequence["Block"]


Block = Heading | Paragraph | Contents | Bullets | Listing | Figure | Table | Details


def anchor(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", " ".join(heading.lower().split())).replace(" ", "-")


def pieces(text: Text) -> Sequence[Inline]:
    """The pieces of a line."""
    return [text] if isinstance(text, Inline) else text


def _is_numeric(text: str) -> bool:
    return text[:1].isdigit() or (text[:1] in ("+", "-") and text[1:2].isdigit())
