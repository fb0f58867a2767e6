import re
import string
import struct
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.base.statistics import Summary
from df_heads.benchmarks.harness.tables.blocks import (
    Block,
    Bullets,
    Cell,
    Code,
    Contents,
    Details,
    Figure,
    Heading,
    Lead,
    Link,
    Listing,
    Paragraph,
    Strong,
    Table,
)
from df_heads.benchmarks.harness.tables.html import to_html
from df_heads.benchmarks.harness.tables.text import to_markdown, to_terminal
from df_heads.benchmarks.harness.tables.values import Duration, Gain, Interval, Mean, Number

HERE = Path("/here")


def body(*blocks: Block, folder: Path = HERE) -> str:
    page = to_html("T", blocks, folder)
    return page.partition("<main>\n")[2].partition("\n</main>")[0]


@pytest.mark.parametrize(
    ("block", "html"),
    [
        (Paragraph("one", "two"), "<p>one<br>two</p>"),
        (Heading(2, "A *b*, c-d!"), '<h2 id="a-b-c-d">A *b*, c-d!</h2>'),
        (
            Bullets(["one", (Strong("two"), " ", Code("x < y"))]),
            "<ul>\n<li>one</li>\n<li><strong>two</strong> <code>x &lt; y</code></li>\n</ul>",
        ),
        (
            Listing("a <b>\n\n# c", "bash"),
            '<pre tabindex="0"><code>a &lt;b&gt;\n\n# c</code></pre>',
        ),
        (Paragraph(Link("a & b", "#c")), '<p><a href="#c">a &amp; b</a></p>'),
        (Paragraph(Link("a", "https://a.org/b")), '<p><a href="https://a.org/b">a</a></p>'),
        (Lead("one", "two"), '<div class="lead"><p>one</p><p>two</p></div>'),
        (
            Details("a < b", [Paragraph("c")]),
            "<details>\n<summary>a &lt; b</summary>\n<p>c</p>\n</details>",
        ),
        (Paragraph("|x^T w| <= 1, 3.9 [3, 12]"), "<p>|x^T w| &lt;= 1, 3.9 [3, 12]</p>"),
        (Paragraph('<img src="javascript:x">'), "<p>&lt;img src=&quot;javascript:x&quot;&gt;</p>"),
        (Paragraph("[x](javascript:y)"), "<p>[x](javascript:y)</p>"),
    ],
)
def test_blocks_become_html(block: Block, html: str) -> None:
    assert body(block) == html


def test_contents_stand_beside_the_page() -> None:
    inside = Link("b", "#b")
    page = to_html("T", [Paragraph("x"), Contents([(Link("a", "#a"), [inside])])], HERE)
    nav, _, main = page.partition("</nav>\n")
    assert main.startswith("<main>\n<p>x</p>")
    links = '<li><a href="#a">a</a><ul><li><a href="#b">b</a></li></ul></li>'
    assert nav.endswith(f'<nav aria-label="Contents">\n<ul>\n{links}\n</ul>\n')


def test_links_follow_the_page(tmp_path: Path) -> None:
    link = Paragraph(Link("a b", tmp_path / "results" / "x (1) y.json"))
    assert to_markdown([link], tmp_path) == "[a b](results/x%20%281%29%20y.json)"
    html = body(link, folder=tmp_path / "results")
    assert html == '<p><a href="x%20%281%29%20y.json">a b</a></p>'


def test_pictures_are_inside(tmp_path: Path) -> None:
    (tmp_path / "a b.png").write_bytes(b"\x89PNG" + struct.pack("I", 0))
    html = body(Figure("c < d", tmp_path / "a b.png", 'x "y" *z*'))
    assert '<img alt="x &quot;y&quot; *z*" src="data:image/png;base64,iVBORwAAAAA="' in html
    assert "<figcaption>c &lt; d</figcaption>" in html
    with pytest.raises(InputError, match=r"none\.png cannot be read \(No such file"):
        body(Figure("x", tmp_path / "none.png", "y"))
    (tmp_path / "none.png").write_text("<svg>")
    with pytest.raises(InputError, match="is no PNG file"):
        body(Figure("x", tmp_path / "none.png", "y"))


class Cells(HTMLParser):
    """The shown text of every cell of an HTML table, and whether it is set to the right."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.right: list[list[bool]] = []
        self.inside = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ("div", "table", "thead", "tbody", "tr", "th", "td", "code", "strong", "a")
        if tag == "tr":
            self.rows.append([])
            self.right.append([])
        if tag in ("th", "td"):
            self.rows[-1].append("")
            self.right[-1].append(dict(attrs).get("class") == "right")
            self.inside = True

    def handle_endtag(self, tag: str) -> None:
        self.inside = self.inside and tag not in ("th", "td")

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.rows[-1][-1] += data


def markdown_cells(text: str) -> list[list[str]]:
    """The shown text of every cell of a Markdown table, read as CommonMark reads it."""
    return [
        [shown(cell) for cell in split(line)]
        for number, line in enumerate(text.split("\n"))
        if number != 1
    ]


def split(line: str) -> list[str]:
    cells, escaped = [""], False
    for character in line[1:-1]:
        if character == "|" and not escaped:
            cells.append("")
        else:
            cells[-1] += character
        escaped = character == "\\"
    return [cell.strip().replace("\\|", "|") for cell in cells]


def shown(cell: str) -> str:
    """Without escapes; what is not escaped must be no markup."""
    text, position = "", 0
    while position < len(cell):
        character = cell[position]
        following = cell[position + 1 : position + 2]
        if character == "\\" and following and following in string.punctuation:
            text, position = text + following, position + 2
            continue
        assert character not in "`~", f"{cell!r} has code or strikethrough"
        assert character != "<" or not (following.isalpha() and following.isascii()), cell
        assert character != "]" or following not in ("(", "["), f"{cell!r} has a link"
        text, position = text + character, position + 1
    return text


HOSTILE = st.text(st.sampled_from("ab1 |\\`*_~<>[]()!#&;:/\n\t\x1b'\"-+.é"), max_size=12)
SUMMARIES = st.builds(
    Summary, st.floats(-100, 100), st.none() | st.floats(0, 50), st.integers(2, 9)
)
CELLS = st.one_of(
    HOSTILE,
    st.builds(Mean, st.none() | SUMMARIES),
    st.builds(Gain, SUMMARIES),
    st.builds(Interval, SUMMARIES),
    st.builds(Duration, st.none() | st.floats(0, 1e5)),
    st.builds(Number, st.none() | st.floats(-1e6, 1e6), st.just(",.2f")),
)


@st.composite
def tables(draw: st.DrawFn) -> Table:
    width = draw(st.integers(1, 4))
    headings = draw(st.lists(HOSTILE, min_size=width, max_size=width))
    row: st.SearchStrategy[list[Cell]] = st.lists(CELLS, min_size=width, max_size=width)
    return Table(headings, draw(st.lists(row, max_size=4)))


def one_line(text: str) -> str:
    return " ".join(text.replace("\x1b", "\ufffd").split())


@given(tables())
def test_every_renderer_shows_the_same_cells(table: Table) -> None:
    cells = [[one_line(str(cell)) for cell in row] for row in (table.headings, *table.rows)]
    html = Cells(body(table))
    assert [[one_line(cell) for cell in row] for row in html.rows] == cells
    assert html.right == [table.right] * len(cells)
    text = to_markdown([table])
    assert [[one_line(cell) for cell in row] for row in markdown_cells(text)] == cells
    rule = split(text.split("\n")[1])
    assert all(re.fullmatch("-+:?", mark) for mark in rule)
    assert [mark.endswith(":") for mark in rule] == table.right
    terminal = to_terminal([table]).split("\n")
    for row, line in zip(cells, (terminal[0], *terminal[2:]), strict=True):
        assert [cell for cell in row if cell not in line] == []
