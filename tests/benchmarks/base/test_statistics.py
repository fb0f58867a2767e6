import random

import pytest

from df_heads.benchmarks.harness.base.statistics import (
    Summary,
    paired_gain,
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
