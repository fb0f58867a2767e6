import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from df_heads.collapse import (
    LEAST_RANK,
    LEAST_SPREAD,
    CollapseWatch,
    effective_rank,
    mean_cosine,
    measure_collapse,
    normalized_std,
    rank_me,
)


def outputs(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_mean_cosine_is_the_mean_over_all_pairs() -> None:
    z = outputs(9, 5)
    cosines = F.cosine_similarity(z[:, None], z[None], dim=-1)
    pairs = cosines[~torch.eye(9, dtype=torch.bool)]
    torch.testing.assert_close(mean_cosine(z), pairs.mean())


def test_normalized_std_is_one_for_directions_of_all_kinds_and_zero_for_one() -> None:
    assert float(normalized_std(outputs(4000, 16))) == pytest.approx(1, abs=0.01)
    assert float(normalized_std(outputs(1, 16).repeat(50, 1))) == pytest.approx(0, abs=1e-6)
    z = outputs(50, 16)
    expected = 16**0.5 * F.normalize(z, dim=1).var(dim=0).mean().sqrt()
    torch.testing.assert_close(normalized_std(z), expected)


@pytest.mark.parametrize("shape", [(20, 6), (6, 20)])
def test_ranks_are_the_entropy_of_singular_values(shape: tuple[int, int]) -> None:
    z = outputs(*shape) + 3
    for rank, matrix in ((rank_me, z), (effective_rank, z - z.mean(0))):
        shares = torch.linalg.svdvals(matrix.double())
        shares = shares / shares.sum()
        expected = (-(shares * (shares + 1e-30).log()).sum()).exp()
        torch.testing.assert_close(rank(z), expected, atol=1e-4, rtol=1e-4)


def test_rank_of_equal_directions_and_of_a_line() -> None:
    assert float(effective_rank(torch.eye(8))) == pytest.approx(7, abs=1e-4)
    assert float(rank_me(torch.eye(8))) == pytest.approx(8, abs=1e-4)
    line = outputs(30, 1) * outputs(1, 8, seed=1) + outputs(1, 8, seed=2)
    assert float(effective_rank(line)) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize(
    ("z", "cause"),
    [
        (outputs(64, 128), None),
        (outputs(64, 128) + 3, None),  # a common part that losses which centre do not see
        (1e-6 * outputs(64, 128), None),
        (outputs(1, 128) + 1e-4 * outputs(64, 128), "parallel"),
        (torch.zeros(64, 128), "parallel"),
        (outputs(64, 1) * outputs(1, 128, seed=1), "line"),
        (torch.full((64, 128), math.nan), "not finite"),
        (torch.full((64, 128), math.inf), "not finite"),
    ],
)
def test_the_verdict(z: Tensor, cause: str | None) -> None:
    found = measure_collapse(z)
    assert found.cause == cause
    assert found.collapsed == (cause is not None)
    expected = "not finite" if cause == "not finite" else f"collapsed below {LEAST_SPREAD:g}"
    assert expected in str(found)
    assert LEAST_RANK == 2


def test_half_precision_and_gradients_are_left_alone() -> None:
    z = outputs(16, 8).bfloat16().requires_grad_()
    assert not measure_collapse(z).collapsed
    assert normalized_std(z).dtype == torch.float32


@pytest.mark.parametrize(
    "z", [torch.ones(4), torch.ones(1, 4), torch.ones(2, 3, 4), torch.ones(3, 4, dtype=torch.long)]
)
def test_bad_outputs_get_one_clear_sentence(z: Tensor) -> None:
    with pytest.raises(ValueError, match=r"must be floating point outputs \(N, d\)"):
        measure_collapse(z)


def spoken(dead: range, steps: int = 200) -> list[int]:
    watch = CollapseWatch()
    live, parallel = outputs(16, 8), torch.ones(16, 8)
    return [s for s in range(steps) if watch.look(s, parallel if s in dead else live) is not None]


def test_the_watch_speaks_once_and_within_20_steps() -> None:
    for start in (0, 3, 40, 48, 50, 101, 150):
        (step,) = spoken(range(start, 200))
        assert start < step <= start + 20
    assert spoken(range(0)) == []
    assert len(spoken(range(10, 200))) == 1


def test_the_watch_waits_for_outputs_that_part() -> None:
    assert spoken(range(4)) == []


def test_the_watch_does_not_wait_where_nothing_is_finite() -> None:
    watch = CollapseWatch()
    assert watch.look(0, torch.full((4, 2), math.nan)) is not None
    assert watch.look(1, torch.full((4, 2), math.nan)) is None
