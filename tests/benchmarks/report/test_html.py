import struct
from pathlib import Path

import pytest

from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.base.text_table import markdown_table
from df_heads.benchmarks.harness.report.html import to_html
from df_heads.benchmarks.harness.report.text import link, plain, read_table, slug, tables

HERE = Path("/here")


def body(markdown: str, folder: Path = HERE, page_folder: Path = HERE) -> str:
    page = to_html(f"# T\n\n{markdown}\n", folder, page_folder)
    return page.partition('<h1 id="t">T</h1>\n')[2].partition("\n</main>")[0]


def test_a_table_survives_both_ways() -> None:
    text = markdown_table(["name", "%"], [["a", "1.5"], ["b <i>", "not run"]])
    table = read_table(text)
    assert table is not None
    assert table.header == ["name", "%"]
    assert table.right == [False, True]
    assert table.rows == [["a", "1.5"], ["b <i>", "not run"]]
    assert tables(f"before\n\n{text}\n\nafter") == [table]
    assert read_table("| one line |") is None
    assert read_table("| a |\n| b |") is None
    assert read_table("| a |\n| - |\n| b | c |") is None
    html = body(text)
    assert html.startswith('<div class="scroll" tabindex="0"><table>\n<thead><tr><th>name</th>')
    assert '<tr><td>b &lt;i&gt;</td><td class="right">not run</td></tr>' in html


@pytest.mark.parametrize(
    ("markdown", "html"),
    [
        ("two\nlines", "<p>two\nlines</p>"),
        ("## A *b*, c-d!", '<h2 id="a-b-c-d">A *b*, c-d!</h2>'),
        ("- one\n- **two** `x < y`", "<ul>\n<li>one</li>\n<li><strong>two</strong> "
            "<code>x &lt; y</code></li>\n</ul>"),
        ("```bash\na <b>\n\n# c\n```", '<pre tabindex="0"><code>a &lt;b&gt;\n\n# c</code></pre>'),
        ("`**x** [a](b)`", "<p><code>**x** [a](b)</code></p>"),
        ("[**a** & b](#c)", '<p><a href="#c"><strong>a</strong> &amp; b</a></p>'),
        ("[a](b%20c.json)", '<p><a href="b%20c.json">a</a></p>'),
        (r"\[a\](b) \*\*c\*\* \`d\`", "<p>[a](b) **c** `d`</p>"),
        ("|x^T w| <= 1, 3.9 [3, 12]", "<p>|x^T w| &lt;= 1, 3.9 [3, 12]</p>"),
    ],
)  # fmt: skip
def test_markdown_becomes_html(markdown: str, html: str) -> None:
    assert body(markdown) == html


@pytest.mark.parametrize(
    "text", ["a|b", "<script>alert(1)</script>", "`*_[x](y)_*`", "a_b *c* \\d", "[x](javascript:y)"]
)
def test_text_of_others_is_shown_as_it_is(text: str) -> None:
    escaped = text.replace("<", "&lt;").replace(">", "&gt;")
    assert body(plain(text)).replace("\\_", "_") == f"<p>{escaped}</p>"
    table = read_table(markdown_table(["a"], [[plain(text)]]))
    assert table is not None
    assert len(table.rows[0]) == 1


def test_links_follow_the_page(tmp_path: Path) -> None:
    text = link("a b", tmp_path / "results" / "x (1) y.json", tmp_path)
    assert text == "[a b](results/x%20%281%29%20y.json)"
    html = body(text, tmp_path, tmp_path / "results")
    assert html == '<p><a href="x%20%281%29%20y.json">a b</a></p>'
    assert 'href="https://a.org/b"' in body("[a](https://a.org/b)", tmp_path, tmp_path / "results")


def test_pictures_are_inside(tmp_path: Path) -> None:
    (tmp_path / "a b.png").write_bytes(b"\x89PNG" + struct.pack("I", 0))
    html = body('![x "y" \\*z\\*](a%20b.png)', tmp_path, tmp_path / "elsewhere")
    assert '<img alt="x &quot;y&quot; *z*" src="data:image/png;base64,iVBORwAAAAA="' in html
    with pytest.raises(InputError, match=r"none\.png cannot be read \(No such file"):
        body("![x](none.png)", tmp_path)


def test_anchors_are_those_of_github() -> None:
    assert slug("Table 2 on CIFAR-10, 5 epochs") == "table-2-on-cifar-10-5-epochs"
    assert slug("The paper's theory & more") == "the-papers-theory--more"
