"""Blocks as one HTML page that opens offline, and how it looks."""

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path

from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.tables.blocks import (
    Block,
    Bullets,
    Code,
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
from df_heads.benchmarks.harness.tables.text import link_address, printable

# Characters beyond which a cell of a table is broken into lines.
LONG = 32
_PNG = b"\x89PNG"

STYLE = """\
:root { color-scheme: light dark; --text: #1b1f24; --back: #ffffff; --line: #d0d7de;
  --soft: #f3f5f7; --link: #0550ae; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e2e6ea; --back: #15191e; --line: #3a424b; --soft: #20262d; --link: #79b8ff; }
}
* { box-sizing: border-box; }
body { margin: 0; color: var(--text); background: var(--back);
  font: 1rem/1.55 system-ui, sans-serif; }
main { max-width: 72rem; margin: 0 auto; padding: 1rem 1.25rem 4rem; }
h1, h2 { line-height: 1.25; text-wrap: balance; }
h2 { margin-top: 3rem; padding-top: 1rem; border-top: 1px solid var(--line); }
p, li { max-width: 48rem; overflow-wrap: anywhere; }
li + li { margin-top: 0.25rem; }
a { color: var(--link); }
code { font: 0.9em ui-monospace, monospace; background: var(--soft); padding: 0.1em 0.3em;
  border-radius: 3px; }
pre { background: var(--soft); padding: 0.75rem 1rem; border-radius: 6px; overflow-x: auto; }
pre code { padding: 0; background: none; }
.scroll { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: 0.875rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.3rem 0.7rem; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line); white-space: nowrap; }
.long { white-space: normal; min-width: 15rem; }
th { border-bottom-width: 2px; }
.right { text-align: right; }
figure { margin: 1.5rem 0; }
img { max-width: 100%; height: auto; background: #ffffff; border-radius: 6px; }
figcaption { font-size: 0.875rem; }
@media print {
  main { max-width: none; padding: 0; }
  table { font-size: 0.65rem; }
  th, td { white-space: normal; padding: 0.15rem 0.3rem; }
  .long { min-width: 0; }
  .scroll, pre { overflow: visible; }
  pre code { white-space: pre-wrap; }
  figure, tr { break-inside: avoid; }
  h2 { break-after: avoid; }
}
"""


def to_html(title: str, blocks: Sequence[Block], folder: Path) -> str:
    """The page, pictures inside.

    Args:
        title: Of the window.
        blocks: The document.
        folder: Where the page will be; its links to files are relative to it.

    Raises:
        InputError: If a picture is missing or no PNG.
    """
    body = "\n".join(_block(block, folder) for block in blocks)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_escape(title)}</title>\n<style>\n{STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _block(block: Block, folder: Path) -> str:
    match block:
        case Heading(level, text):
            return f'<h{level} id="{_escape(block.anchor)}">{_escape(text)}</h{level}>'
        case Paragraph():
            return f"<p>{'<br>'.join(_line(line, folder) for line in block.lines)}</p>"
        case Bullets():
            items = [f"<li>{_line(item, folder)}</li>" for item in block.items]
            return "\n".join(["<ul>", *items, "</ul>"])
        case Listing():
            return f'<pre tabindex="0"><code>{_escape(block.code)}</code></pre>'
        case Figure():
            return _figure(block)
        case Table():
            return _table(block, folder)


def _table(table: Table, folder: Path) -> str:
    def row(cells: Sequence[object], tag: str) -> str:
        inside = "".join(
            f"<{tag}{_class(str(cell), right)}>"
            f"{_inline(cell, folder) if isinstance(cell, Inline) else _escape(str(cell))}</{tag}>"
            for cell, right in zip(cells, table.right, strict=True)
        )
        return f"<tr>{inside}</tr>"

    rows = "\n".join(row(cells, "td") for cells in table.rows)
    return (
        f'<div class="scroll" tabindex="0"><table>\n<thead>{row(table.headings, "th")}'
        f"</thead>\n<tbody>\n{rows}\n</tbody>\n</table></div>"
    )


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
    data, title = base64.b64encode(content).decode("ascii"), _escape(figure.title)
    return (
        f'<figure><img alt="{title}" src="data:image/png;base64,{data}">'
        f"<figcaption>{title}</figcaption></figure>"
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
