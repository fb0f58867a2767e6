from df_heads.benchmarks.harness.base.statistics import Summary
from df_heads.benchmarks.harness.tables.values import (
    Duration,
    Gain,
    Interval,
    Mean,
    Millions,
    Number,
    OutOf,
    Range,
)


def test_how_values_read() -> None:
    assert str(Mean(None)) == str(Mean(None, collapsed=True)) == "not run"
    assert str(Mean(Summary(12.345, None, 1))) == "12.35"
    assert str(Mean(Summary(12.345, 0.5, 3))) == "12.35 ± 0.50"
    assert str(Mean(Summary(12.345, 0.5, 3), collapsed=True)) == "12.35 ± 0.50 (collapsed)"
    assert str(Gain(Summary(1.0, 0.25, 2))) == "+1.00"
    assert str(Gain(Summary(-1.0, None, 1))) == "-1.00"
    assert str(Interval(Summary(1.0, None, 1))) == ""
    assert str(Interval(Summary(1.0, 1.0, 3))) == "-1.48 to +3.48"
    times = [str(Duration(seconds)) for seconds in (None, 99.4, 100, 7200)]
    assert times == ["", "99 s", "1.7 min", "2.00 h"]
    assert [str(Millions(n)) for n in (None, 0, 2_038_144)] == ["", "", "2.04M"]
    assert [str(n) for n in (Number(None), Number(3), Number(1.5, ".2f", " h"))] == [
        "", "3", "1.50 h",
    ]  # fmt: skip
    assert str(Range(1000, 2000.4, ",.0f")) == "1,000 to 2,000"
    assert str(OutOf(2, 3)) == "2 of 3"
