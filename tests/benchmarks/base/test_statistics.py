import random

import pytest

from df_heads.benchmarks.harness.base.statistics import (
    Summary,
    p_value,
    paired_gain,
    smallest_gain,
    summarize,
    t_quantile,
    verdict,
)


def test_summaries_by_hand() -> None:
    assert summarize([]) is None
    assert summarize([4.0]) == Summary(4.0, None, 1)
    assert summarize([1.0, 2.0, 6.0]) == Summary(3.0, 7**0.5, 3)


def test_gains_pair_the_seeds() -> None:
    ours, theirs = {0: 10.0, 1: 20.0, 2: 99.0}, {0: 9.0, 1: 17.0, 5: 0.0}
    assert paired_gain(ours, theirs) == Summary(2.0, 2**0.5, 2)
    assert paired_gain({0: 1.0}, {1: 1.0}) is None


@pytest.mark.parametrize(
    ("freedom", "printed"),
    [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (9, 2.262), (10, 2.228), (30, 2.042)],
)
def test_quantiles_are_those_of_the_printed_tables(freedom: int, printed: float) -> None:
    assert t_quantile(freedom) == pytest.approx(printed, abs=6e-4)


def test_no_degree_of_freedom_gets_one_clear_sentence() -> None:
    with pytest.raises(ValueError, match="freedom=0 must be at least 1: use two seeds"):
        t_quantile(0)


def test_the_interval_by_hand() -> None:
    # Differences 1, 2, 3: mean 2, deviation 1, 4.3027 * 1 / sqrt(3) = 2.4841.
    gain = paired_gain({0: 1.0, 1: 2.0, 2: 3.0}, {0: 0.0, 1: 0.0, 2: 0.0})
    assert gain is not None
    assert gain.interval == pytest.approx((2 - 2.4841, 4.4841), abs=1e-4)
    assert Summary(2.0, None, 1).interval is None


@pytest.mark.parametrize(
    ("differences", "said"),
    [
        ([5.0], "one seed"),
        ([1.0, 2.0, 3.0], "undecided"),
        ([2.0, 2.5, 3.0], "better"),
        ([-2.0, -2.5, -3.0], "worse"),
        # Two seeds: t is 12.7, so 1.0 and 1.1 are enough and 1.0 and 1.5 are not.
        ([1.0, 1.1], "better"),
        ([1.0, 1.5], "undecided"),
        ([0.0, 0.0], "undecided"),
        ([30.1 - 30.0, 20.1 - 20.0], "undecided"),
    ],
)
def test_verdicts_by_hand(differences: list[float], said: str) -> None:
    summary = summarize(differences)
    assert summary is not None
    assert verdict(summary) == said


@pytest.mark.parametrize("seeds", [3, 5])
def test_no_effect_is_called_undecided_in_95_percent_of_draws(seeds: int) -> None:
    generator = random.Random(seeds)
    said = []
    for _ in range(1000):
        # What seeds share, such as the order of the images, cancels in the pairs.
        shared = [generator.gauss(40, 3) for _ in range(seeds)]
        ours, theirs = (
            {seed: value + generator.gauss(0, 0.5) for seed, value in enumerate(shared)}
            for _ in range(2)
        )
        gain = paired_gain(ours, theirs)
        assert gain is not None
        said.append(verdict(gain))
    # 950 expected, with a standard deviation of 6.9.
    assert 925 <= said.count("undecided") <= 975
    assert min(said.count("better"), said.count("worse")) >= 10


def test_a_clear_effect_is_found() -> None:
    generator = random.Random(0)
    gains = [[generator.gauss(3, 0.5) for _ in range(5)] for _ in range(200)]
    found = [verdict(summary) for values in gains if (summary := summarize(values))]
    assert found.count("better") > 190


def test_p_values_agree_with_the_intervals() -> None:
    assert p_value(Summary(2.093, 20**0.5, 20)) == pytest.approx(0.05, abs=1e-4)
    assert p_value(Summary(-2.861, 20**0.5, 20)) == pytest.approx(0.01, abs=1e-4)
    assert p_value(Summary(5.0, None, 1)) == p_value(Summary(5.0, 0.0, 3)) == 1.0


@pytest.mark.parametrize(
    ("count", "level", "effect"),
    # Paired t tests of 80 % power in Cohen's d, as G*Power prints them.
    [(20, 0.05, 0.6604), (10, 0.05, 0.9965), (6, 0.05, 1.4347), (34, 0.05, 0.4952)],
)
def test_the_smallest_gain_is_that_of_published_power_tables(
    count: int, level: float, effect: float
) -> None:
    assert smallest_gain(2.0, count, level=level) == pytest.approx(2 * effect, rel=3e-3)


def test_the_smallest_gain_is_found_in_80_percent_of_draws() -> None:
    generator = random.Random(0)
    true, found = smallest_gain(0.5, 8), 0
    for _ in range(1000):
        gain = summarize([generator.gauss(true, 0.5) for _ in range(8)])
        assert gain is not None
        found += verdict(gain) == "better"
    # 800 expected, with a standard deviation of 12.6.
    assert 765 <= found <= 835


def test_a_stricter_level_and_fewer_seeds_need_larger_gains() -> None:
    usual = smallest_gain(1.0, 20)
    assert smallest_gain(1.0, 20, level=0.05 / 17) > 1.3 * usual
    assert smallest_gain(1.0, 2) > smallest_gain(1.0, 3) > 2 * usual
    with pytest.raises(ValueError, match="use two seeds or more"):
        smallest_gain(1.0, 1)
