import re
from pathlib import Path

import pytest

from df_heads.benchmarks.harness.base.statistics import Summary
from df_heads.benchmarks.harness.tables.comparisons import Comparison
from df_heads.benchmarks.harness.tables.gain_plot import Scale, gain_plot, scale_of
from df_heads.benchmarks.harness.tables.html import to_html
from df_heads.benchmarks.harness.tables.text import to_markdown

SETTING = (("data", "digits"), ("size", "small"))


def comparison(
    mean: float,
    deviation: float | None = None,
    *,
    accuracy: str = "unsup.",
    setting: tuple[tuple[str, str], ...] = SETTING,
) -> Comparison:
    count = 1 if deviation is None else 3
    gain = Summary(mean, deviation, count)
    return Comparison("transformer", "transformer-self", setting, accuracy, gain)


def places(html: str) -> list[tuple[float, float]]:
    """From where to where each drawn interval reaches, in percent."""
    lines = re.findall(r'<line x1="([\d.]+)%" x2="([\d.]+)%" y1="50%" y2="50%"/>', html)
    return [(float(low), float(high)) for low, high in lines]


def test_the_axis_holds_all_intervals_and_zero() -> None:
    scale = scale_of([comparison(1.0, 0.4), comparison(3.0)])
    assert (scale.low, scale.high) == (0.0, 3.0)
    assert list(scale.ticks) == [0, 1, 2, 3]
    scale = scale_of([comparison(-1.0, 0.4)])
    assert scale.low <= -1.0 - 0.994 < 0.0 <= scale.high
    assert scale_of([]).low < 0 < scale_of([]).high


def test_an_interval_without_a_measure_is_cut_off_and_has_no_end() -> None:
    wild = comparison(1.0, 100.0)
    scale = scale_of([wild])
    assert (scale.low, scale.high) == (-4.0, 4.0)
    html = to_html("", [gain_plot([wild], scale)], Path())
    assert places(html) == [(scale.place(-4.0), scale.place(4.0))]
    assert 'y1="35%"' not in html


def test_what_is_drawn_is_what_the_table_says() -> None:
    scale = Scale(-5.0, 5.0, (-5, 0, 5))
    sure, alone = comparison(2.0, 0.5), comparison(-1.0, accuracy="sup.")
    plot = gain_plot([sure, alone], scale)
    html = to_html("", [plot], Path())
    low, high = sure.gain.interval or (0.0, 0.0)
    assert places(html) == [pytest.approx((scale.place(low), scale.place(high)), abs=0.01)]
    centers = [float(x) for x in re.findall(r'<circle cx="([\d.]+)%"', html)]
    assert centers == [pytest.approx(scale.place(2.0)), pytest.approx(scale.place(-1.0))]
    assert scale.place(-5.0) < scale.place(0.0) == 50.0 < scale.place(5.0)
    assert re.findall("<title>(.+?)</title>", html) == [
        "Transformer over attention off, unsup.: +2.00 points, 95 % interval +0.76 to +3.24, "
        "3 seeds: better",
        "Transformer over attention off, sup.: -1.00 points, 1 seed: one seed",
    ]
    text = to_markdown([plot])
    assert "| Transformer over attention off | unsup.   | +2.00 | +0.76 to +3.24 | better " in text


def test_what_all_have_in_common_is_not_said_again() -> None:
    other = comparison(1.0, setting=(("data", "digits"), ("size", "large")))
    plot = gain_plot([comparison(2.0), other], Scale(-5.0, 5.0, (0,)))
    assert plot.titles == [
        "Transformer over attention off: small",
        "Transformer over attention off: large",
    ]
