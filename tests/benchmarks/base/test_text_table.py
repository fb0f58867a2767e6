import pytest

from df_heads.benchmarks.harness.base.paper import TABLE2, TABLE3, TABLE4, TABLE5, TABLE6
from df_heads.benchmarks.harness.base.statistics import Summary
from df_heads.benchmarks.harness.base.text_table import (
    duration,
    gain,
    interval,
    markdown_table,
    millions,
    percent,
)


def test_cells() -> None:
    assert percent(None) == "not run"
    assert percent(Summary(12.345, None, 1)) == "12.35"
    assert percent(Summary(12.345, 0.5, 3)) == "12.35 ± 0.50"
    assert gain(None) == ""
    assert gain(Summary(1.0, 0.25, 2)) == "+1.00"
    assert gain(Summary(-1.0, None, 1)) == "-1.00"
    assert interval(None) == interval(Summary(1.0, None, 1)) == ""
    assert interval(Summary(1.0, 1.0, 3)) == "-1.48 to +3.48"
    assert [duration(s) for s in (None, 99.4, 100, 7200)] == ["", "99 s", "1.7 min", "2.00 h"]
    assert [millions(n) for n in (None, 0, 2_038_144)] == ["", "", "2.04M"]


def test_markdown_aligns_numbers_to_the_right() -> None:
    text = markdown_table(["name", "%"], [["a", "1.0"], ["bcdef", "not run"]])
    assert text.splitlines() == [
        "| name  |       % |",
        "| ----- | ------: |",
        "| a     |     1.0 |",
        "| bcdef | not run |",
    ]


def test_the_paper_claims_what_its_text_says() -> None:
    gains = [
        TABLE2[d, "transformer", s].unsupervised - TABLE2[d, "feedforward", s].unsupervised
        for d in ("cifar10", "cifar100", "imagenet200")
        for s in ("small", "large")
    ]
    assert min(gains) == pytest.approx(2.25)
    assert max(gains) == pytest.approx(3.20)


def test_the_ablations_of_the_paper_share_their_default_cell() -> None:
    for table, value in ((TABLE3, 1024), (TABLE4, 0.2), (TABLE5, 1e-3)):
        assert table["feedforward", value] == 35.43
        assert (
            table["transformer", value] == TABLE2["cifar100", "transformer", "small"].unsupervised
        )
    for head in ("feedforward", "transformer"):
        assert TABLE6[head, 1, "backbone"] == TABLE2["cifar100", head, "small"].supervised
