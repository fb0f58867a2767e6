import random

import pytest

from df_heads.benchmarks.harness.base.families import holm, judge
from df_heads.benchmarks.harness.base.statistics import Summary, summarize


def test_holm_by_hand() -> None:
    # Holm's steps of 4: 0.005 * 4, 0.01 * 3, then 0.03 * 2 and 0.04 * 1, which may not be smaller.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([0.02]) == [0.02]
    assert holm([]) == []


def test_a_family_is_judged_by_corrected_values() -> None:
    # t = 4.5, 4.5 and 2.24 with 19 degrees of freedom: p = 0.0002, 0.0002, 0.037.
    clear, unclear = Summary(1.0, 1.0, 20), Summary(0.5, 1.0, 20)
    alone = judge([unclear])[0]
    assert alone.verdict == "better"
    better, worse, undecided = judge([clear, Summary(-1.0, 1.0, 20), Summary(0.48, 1.0, 20)])
    assert [one.verdict for one in (better, worse, undecided)] == ["better", "worse", "better"]
    family = judge([*[Summary(0.0, 1.0, 20)] * 5, unclear])
    assert {one.verdict for one in family} == {"undecided"}
    assert family[-1].p_value == pytest.approx(6 * alone.p_value)


def test_the_intervals_of_a_family_are_wider_and_agree_with_bonferroni() -> None:
    gain = Summary(1.0, 1.0, 20)
    low, high = judge([gain] * 10)[0].interval
    # t of 0.5 % in two tails with 19 degrees of freedom: 3.1737 (printed tables: 3.174).
    assert (high - low) / 2 == pytest.approx(3.1737 / 20**0.5, abs=2e-4)
    assert judge([gain])[0].interval == pytest.approx(gain.interval)
    assert judge([gain] * 10)[0].smallest > judge([gain])[0].smallest


def test_one_seed_is_not_judged() -> None:
    with pytest.raises(ValueError, match="a gain over 1 seed cannot be judged"):
        judge([Summary(1.0, None, 1)])


def test_equal_differences_decide_nothing() -> None:
    assert judge([Summary(1.0, 0.0, 20)])[0].verdict == "undecided"


@pytest.mark.slow
def test_families_without_any_effect_have_a_false_verdict_in_5_percent_at_most() -> None:
    generator = random.Random(0)
    seeds, heads, families = 20, 12, 2000
    wrong = 0
    for _ in range(families):
        # The accuracy of each head at each seed; comparisons share heads, as ours do.
        accuracy = [[generator.gauss(40, 0.5) for _ in range(seeds)] for _ in range(heads)]
        gains = [
            summarize([one - other for one, other in zip(accuracy[i], accuracy[j], strict=True)])
            for i, j in [*((i, 0) for i in range(1, heads)), (2, 1), (3, 1), (5, 4), (7, 6)]
        ]
        verdicts = {one.verdict for one in judge([gain for gain in gains if gain is not None])}
        wrong += verdicts != {"undecided"}
    # 100 is the bound; without a correction it would be about 750.
    assert 50 <= wrong <= 100
