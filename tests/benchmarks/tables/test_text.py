from pathlib import Path

import pytest

from df_heads.benchmarks.harness.tables.blocks import (
    Block,
    Bullets,
    Code,
    Contents,
    Details,
    Figure,
    Heading,
    Link,
    Listing,
    Paragraph,
    Strong,
    Table,
)
from df_heads.benchmarks.harness.tables.text import to_markdown, to_terminal
from df_heads.benchmarks.harness.tables.values import Mean

HERE = Path("/here")


def test_a_table_aligns_numbers_to_the_right() -> None:
    table = Table(["name", "%"], [["a", "1.0"], ["bcdef", Mean(None)]])
    assert table.right == [False, True]
    for text in (to_terminal([table]), to_markdown([table])):
        assert text.splitlines() == [
            "| name  |       % |",
            "| ----- | ------: |",
            "| a     |     1.0 |",
            "| bcdef | not run |",
        ]
    with pytest.raises(ValueError, match="1 cells in a table of 2 columns"):
        Table(["a", "b"], [["c"]])


def test_every_block() -> None:
    blocks: list[Block] = [
        Heading(2, "A *b*"),
        Paragraph("one", ("two, ", Strong("three"), " ", Code("x | y"))),
        Bullets(["a", (Link("b c", HERE / "x (1) y.json"), ": d")]),
        Listing("ls", "bash"),
        Figure("f", HERE / "g.png", "h"),
        Contents([(Link("i", "#i"), [Link("j", "#j")])]),
        Details("k < l", [Paragraph("m")]),
    ]
    assert to_markdown(blocks, HERE) == (
        "## A \\*b\\*\n\none\ntwo, **three** `x | y`\n\n- a\n- [b c](x%20%281%29%20y.json): d\n\n"
        "```bash\nls\n```\n\n![h](g.png)\n\nf\n\n- [i](#i)\n  - [j](#j)\n\n"
        "<details>\n<summary>k &lt; l</summary>\n\nm\n\n</details>"
    )
    assert to_terminal(blocks[-1:]) == "k < l:\n\nm"


@pytest.mark.parametrize(
    "text",
    [
        "a_b and 3 * 4, 3.9 [3, 12]",
        "|x^T w| <= 1 < 2 & 3 > 2",
        "noise: nu rho^2 (5 %), 16 x 16 - no more!",
        'joint, lightly\'s "own"; sequence_length=1024',
    ],
)
def test_plain_text_is_not_touched(text: str) -> None:
    assert to_markdown([Paragraph(text)]) == to_terminal([Paragraph(text)]) == text


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("<script>alert(1)</script>", "\\<script>alert(1)\\</script>"),
        ("<!-- x", "\\<!-- x"),
        ("[x](javascript:y)", "[x\\](javascript:y)"),
        ("[x]: javascript:y", "[x\\]: javascript:y"),
        ("![x][y]", "![x\\][y]"),
        ("`a` *b* **c** _d_ ~~e~~", "\\`a\\` \\*b\\* \\*\\*c\\*\\* \\_d\\_ \\~\\~e\\~\\~"),
        ("\\*a \\d \\", "\\\\\\*a \\d \\\\"),
        ("&lt;b&gt; &#60;", "\\&lt;b\\&gt; \\&#60;"),
        ("# a", "\\# a"),
        ("1. a", "1\\. a"),
        ("- a", "\\- a"),
        ("> a", "\\> a"),
        ("a\n\n  ## b\n===", "a\n\\## b\n\\==="),
        ("a\x1b[2J\ud800", "a\ufffd[2J\ufffd"),
    ],
)
def test_markup_of_others_is_escaped(text: str, escaped: str) -> None:
    assert to_markdown([Paragraph(text)]) == escaped


def test_what_others_wrote_stays_in_its_place() -> None:
    hostile = "a|b\n\n# c"
    table = to_markdown([Table([hostile], [[hostile], [Code(hostile)]])])
    assert table.splitlines()[2:] == ["| a\\|b # c   |", "| `a\\|b # c` |"]
    assert to_markdown([Heading(1, hostile)]) == "# a|b # c"
    assert to_markdown([Bullets([hostile])]) == "- a|b # c"
    assert to_markdown([Bullets(["# c"])]) == "- \\# c"
    link = to_markdown([Paragraph(Link("a](b) [c", "#d"))])
    assert link == "[a\\](b) \\[c](#d)"
    assert to_markdown([Paragraph(Code("a `b"))]) == "`` a `b ``"
    assert to_markdown([Listing("```\n<b>", "bash")]) == "````bash\n```\n<b>\n````"
    assert "\x1b" not in to_terminal([Paragraph("\x1b[2J"), Heading(1, "\x1b")])


def test_links_go_to_files_anchors_and_the_web_only() -> None:
    for target in ("javascript:alert(1)", "JaVaScript:x", "data:text/html,x", "//a.org", ""):
        with pytest.raises(ValueError, match="link target"):
            Link("a", target)
    assert to_markdown([Paragraph(Link("a", HERE / "javascript:x"))], HERE) == "[a](javascript%3Ax)"
    text = to_markdown([Paragraph(Link("a", 'https://a.org/b)c "<'))])
    assert text == "[a](https://a.org/b%29c%20%22%3C)"


def test_anchors_are_those_of_github() -> None:
    assert Heading(2, "Table 2 on CIFAR-10, 5 epochs").anchor == "table-2-on-cifar-10-5-epochs"
    assert Heading(2, "The paper's theory & more").anchor == "the-papers-theory--more"
