import pytest

from df_heads.benchmarks.harness.paper import TABLE2
from df_heads.benchmarks.harness.report import duration, gain, markdown_table, millions, percent
from df_heads.benchmarks.harness.statistics import Summary, paired_gain, summarize


def test_summaries_by_hand() -> None:
    assert summarize([]) is None
    assert summarize([4.0]) == Summary(4.0, None, 1)
    assert summarize([1.0, 2.0, 6.0]) == Summary(3.0, pytest.approx(7**0.5), 3)


def test_gains_pair_the_seeds() -> None:
    ours, theirs = {0: 10.0, 1: 20.0, 2: 99.0}, {0: 9.0, 1: 17.0, 5: 0.0}
    assert paired_gain(ours, theirs) == Summary(2.0, pytest.approx(2**0.5), 2)
    assert paired_gain({0: 1.0}, {1: 1.0}) is None


def test_cells() -> None:
    assert percent(None) == "not run"
    assert percent(Summary(12.345, None, 1)) == "12.35"
    assert percent(Summary(12.345, 0.5, 3)) == "12.35 ± 0.50"
    assert gain(None) == ""
    assert gain(Summary(1.0, 0.25, 2)) == "+1.00 ± 0.25"
    assert gain(Summary(-1.0, None, 1)) == "-1.00"
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
