"""From the report's Markdown to one HTML page that opens offline.

It knows the Markdown that the report is written in, and no more: headings, paragraphs, lists,
tables, fenced code, pictures on a line of their own; in a line code, bold, links and escapes.
"""

import base64
import re
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from urllib.parse import unquote, urlsplit

from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.report.style import STYLE
from df_heads.benchmarks.harness.report.text import Table, read_table, relative, slug

_BLOCKS = re.compile(r"```.*?^```$|\S.*?(?=\n\n|\Z)", re.DOTALL | re.MULTILINE)
_INLINE = re.compile(
    r"\\(?P<literal>[\\`*_\[\]<>|])"
    r"|`(?P<code>[^`]+)`"
    r"|\*\*(?P<bold>.+?)\*\*"
    r"|\[(?P<text>(?:\\.|[^\]\\])+)\]\((?P<url>[^)\s]+)\)"
)
_PICTURE = re.compile(r"!\[(?P<text>(?:\\.|[^\]\\])*)\]\((?P<url>[^)\s]+)\)")
# Characters beyond which a cell of a table is broken into lines.
LONG = 32
_PNG = b"\x89PNG"

Rebase = Callable[[str], str]


def to_html(markdown: str, markdown_folder: Path, page_folder: Path) -> str:
    """The page, pictures inside.

    Args:
        markdown: The report.
        markdown_folder: What its links are relative to.
        page_folder: Where the page will be.

    Raises:
        InputError: If a picture is missing or no PNG.
    """

    def rebase(url: str) -> str:
        if url.startswith("#") or urlsplit(url).scheme:
            return url
        return relative(markdown_folder / unquote(url), page_folder)

    blocks = [block.rstrip() for block in _BLOCKS.findall(markdown)]
    body = "\n".join(_block(block, markdown_folder, rebase) for block in blocks)
    title = escape(blocks[0].lstrip("# "))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>df-heads: {title}</title>\n<style>\n{STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _block(block: str, folder: Path, rebase: Rebase) -> str:
    heading = re.fullmatch(r"(#{1,6}) (.+)", block)
    if heading is not None:
        level, text = len(heading[1]), heading[2]
        return f'<h{level} id="{escape(slug(text))}">{_inline(text, rebase)}</h{level}>'
    if block.startswith("```"):
        code = "\n".join(block.splitlines()[1:-1])
        return f'<pre tabindex="0"><code>{escape(code)}</code></pre>'
    if (table := read_table(block)) is not None:
        return _table(table, rebase)
    if (picture := _PICTURE.fullmatch(block)) is not None:
        return _picture(picture["text"], folder / unquote(picture["url"]), rebase)
    if block.startswith("- "):
        items = [f"<li>{_inline(item, rebase)}</li>" for item in re.split(r"\n- ", block[2:])]
        return "\n".join(["<ul>", *items, "</ul>"])
    return f"<p>{_inline(block, rebase)}</p>"


def _table(table: Table, rebase: Rebase) -> str:
    def line(cells: Sequence[str], tag: str) -> str:
        inside = "".join(
            f"<{tag}{_class(cell, right)}>{_inline(cell, rebase)}</{tag}>"
            for cell, right in zip(cells, table.right, strict=True)
        )
        return f"<tr>{inside}</tr>"

    rows = "\n".join(line(row, "td") for row in table.rows)
    return (
        f'<div class="scroll" tabindex="0"><table>\n<thead>{line(table.header, "th")}'
        f"</thead>\n<tbody>\n{rows}\n</tbody>\n</table></div>"
    )


def _class(cell: str, right: bool) -> str:
    if right:
        return ' class="right"'
    return ' class="long"' if len(cell) > LONG else ""


def _picture(text: str, file: Path, rebase: Rebase) -> str:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise InputError(f"the figure {file} cannot be read ({error.strerror}).") from error
    if not content.startswith(_PNG):
        raise InputError(f"the figure {file} is no PNG file; draw it again.")
    data = base64.b64encode(content).decode("ascii")
    caption = _inline(text, rebase)
    alt = escape(re.sub(r"\\(.)", r"\1", text))
    return (
        f'<figure><img alt="{alt}" src="data:image/png;base64,{data}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _inline(text: str, rebase: Rebase) -> str:
    html, end = [], 0
    for match in _INLINE.finditer(text):
        html.append(escape(text[end : match.start()]))
        end = match.end()
        if match["literal"] is not None:
            html.append(escape(match["literal"]))
        elif match["code"] is not None:
            html.append(f"<code>{escape(match['code'])}</code>")
        elif match["bold"] is not None:
            html.append(f"<strong>{_inline(match['bold'], rebase)}</strong>")
        else:
            url = escape(rebase(match["url"]))
            html.append(f'<a href="{url}">{_inline(match["text"], rebase)}</a>')
    return "".join([*html, escape(text[end:])])
