"""Blocks as one HTML page that opens offline; page.css is how it looks."""

import base64
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path

from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.tables.blocks import (
    Block,
    Bullets,
    Code,
    Contents,
    Details,
    Figure,
    Heading,
    Inline,
    Lead,
    Link,
    Listing,
    Paragraph,
    Strong,
    Table,
    Text,
    pieces,
)
from df_heads.benchmarks.harness.tables.gain_plot import GainPlot, gain_plot_html
from df_heads.benchmarks.harness.tables.text import link_address, printable

# Characters beyond which a cell of a table is broken into lines.
LONG = 32
_PNG = b"\x89PNG"


def to_html(title: str, blocks: Sequence[Block], folder: Path) -> str:
    """The page, pictures inside.

    Gains are drawn as SVG in their table, with a title each that a pointer brings up: a few hundred
    bytes a row, where a plotting library within the page would be megabytes.

    Args:
        title: Of the window.
        blocks: The document; its contents stand beside it, or above on a narrow screen.
        folder: Where the page will be; its links to files are relative to it.

    Raises:
        InputError: If a picture is missing or no PNG.
    """
    aside = [_block(block, folder) for block in blocks if isinstance(block, Contents)]
    main = [_block(block, folder) for block in blocks if not isinstance(block, Contents)]
    style = (files(__package__) / "page.css").read_text(encoding="utf-8")
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        + "\n".join([*aside, "<main>", *main, "</main>", "</body>", "</html>", ""])
    )


def _block(block: Block, folder: Path) -> str:
    match block:
        case Heading(level, text):
            return f'<h{level} id="{_escape(block.anchor)}">{_escape(text)}</h{level}>'
        case Lead():
            lines = "".join(f"<p>{_line(line, folder)}</p>" for line in block.lines)
            return f'<div class="lead">{lines}</div>'
        case Paragraph():
            return f"<p>{'<br>'.join(_line(line, folder) for line in block.lines)}</p>"
        case Contents():
            return f'<nav aria-label="Contents">\n{_contents(block, folder)}\n</nav>'
        case Bullets():
            items = [f"<li>{_line(item, folder)}</li>" for item in block.items]
            return "\n".join(["<ul>", *items, "</ul>"])
        case Listing():
            return f'<pre tabindex="0"><code>{_escape(block.code)}</code></pre>'
        case Figure():
            return _figure(block)
        case GainPlot():
            return gain_plot_html(block)
        case Table():
            return _table(block, folder)
        case Details():
            inside = "\n".join(_block(one, folder) for one in block.blocks)
            summary = f"<summary>{_escape(block.title)}</summary>"
            return f"<details>\n{summary}\n{inside}\n</details>"


def _contents(contents: Contents, folder: Path) -> str:
    def items(links: Sequence[Link]) -> str:
        return "".join(f"<li>{_inline(link, folder)}</li>" for link in links)

    parts = [
        f"<li>{_inline(part, folder)}{f'<ul>{items(inside)}</ul>' if inside else ''}</li>"
        for part, inside in contents.entries
    ]
    return "\n".join(["<ul>", *parts, "</ul>"])


def _table(table: Table, folder: Path) -> str:
    def row(cells: Sequence[object], tag: str) -> str:
        inside = "".join(
            _cell(tag if str(cell) else "td", cell, right, folder)
            for cell, right in zip(cells, table.right, strict=True)
        )
        return f"<tr>{inside}</tr>"

    rows = "\n".join(row(cells, "td") for cells in table.rows)
    return (
        '<div class="scroll" tabindex="0" role="group" aria-label="Table, scrolls sideways">'
        f"<table>\n<thead>{row(table.headings, 'th')}</thead>\n<tbody>\n{rows}\n</tbody>\n"
        "</table></div>"
    )


def _cell(tag: str, cell: object, right: bool, folder: Path) -> str:
    text = str(cell)
    scope = ' scope="col"' if tag == "th" else ""
    inside = _inline(cell, folder) if isinstance(cell, Inline) else _escape(text)
    return f"<{tag}{scope}{_class(text, right)}>{inside}</{tag}>"


def _class(text: str, right: bool) -> str:
    if right:
        return ' class="right"'
    return ' class="long"' if len(text) > LONG else ""


def _figure(figure: Figure) -> str:
    try:
        content = figure.file.read_bytes()
    except OSError as error:
        raise InputError(f"the figure {figure.file} cannot be read ({error.strerror}).") from error
    if not content.startswith(_PNG):
        raise InputError(f"the figure {figure.file} is no PNG file; draw it again.")
    data = base64.b64encode(content).decode("ascii")
    return (
        f'<figure><img alt="{_escape(figure.alt)}" src="data:image/png;base64,{data}">'
        f"<figcaption>{_escape(figure.caption)}</figcaption></figure>"
    )


def _line(text: Text, folder: Path) -> str:
    return "".join(_inline(piece, folder) for piece in pieces(text))


def _inline(piece: Inline, folder: Path) -> str:
    match piece:
        case Strong():
            return f"<strong>{_escape(piece.text)}</strong>"
        case Code():
            return f"<code>{_escape(piece.text)}</code>"
        case Link():
            address = _escape(link_address(piece.target, folder))
            return f'<a href="{address}">{_escape(piece.text)}</a>'
        case str():
            return _escape(piece)


def _escape(text: str) -> str:
    return escape(printable(text))
