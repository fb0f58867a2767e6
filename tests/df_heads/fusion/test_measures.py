import math
from typing import Any

import pytest
import torch
from torch import Tensor

from df_heads.fusion import attention_entropy, same_class_mass, sharpness

LABELS = torch.tensor([7, 2, 2, 7, 5, 2, 5, 7, 5, 7])
N = len(LABELS)
# Each token's other view, of its own class.
PAIRS = torch.tensor([3, 2, 1, 0, 6, 1, 4, 9, 4, 7])


def random_maps(*leading: int, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(*leading, N, N, generator=generator).double().mul(2).softmax(-1).to(dtype)


def block_maps() -> Tensor:
    same = (LABELS[:, None] == LABELS).double()
    return same / same.sum(1, keepdim=True)


def naive_mass(a: Tensor, pairs: Tensor | None) -> tuple[float, float, float]:
    """One map, token by token: others, own, pair."""
    others, own, pair = 0.0, 0.0, 0.0
    for i in range(N):
        same = rest = 0.0
        for j in range(N):
            if j == i:
                own += float(a[i, j])
            elif pairs is not None and j == pairs[i]:
                pair += float(a[i, j])
            else:
                rest += float(a[i, j])
                same += float(a[i, j]) if LABELS[i] == LABELS[j] else 0.0
        others += same / rest
    return others / N, own / N, pair / N


@pytest.mark.parametrize("pairs", [None, PAIRS])
def test_same_class_mass_equals_the_naive_loops(pairs: Tensor | None) -> None:
    maps = random_maps(2, 3)
    mass = same_class_mass(maps, LABELS, pairs)
    assert mass.others.shape == mass.own.shape == (2, 3)
    for s in range(2):
        for h in range(3):
            others, own, pair = naive_mass(maps[s, h], pairs)
            assert mass.others[s, h].item() == pytest.approx(others, abs=1e-12)
            assert mass.own[s, h].item() == pytest.approx(own, abs=1e-12)
            if pairs is None:
                assert mass.pair is None
            else:
                assert mass.pair is not None
                assert mass.pair[s, h].item() == pytest.approx(pair, abs=1e-12)


@pytest.mark.parametrize("pairs", [None, PAIRS])
def test_uniform_attention_is_at_chance_and_blocks_are_at_one(pairs: Tensor | None) -> None:
    uniform = same_class_mass(torch.full((N, N), 1 / N), LABELS, pairs)
    # Classes of 4, 3, 3: the same-class others of each token, over all others.
    gone = 1 if pairs is None else 2
    expected = (4 * (4 - gone) + 6 * (3 - gone)) / N / (N - gone)
    assert uniform.chance == pytest.approx(expected, abs=1e-6)
    assert uniform.others.item() == pytest.approx(expected, abs=1e-6)
    assert uniform.own.item() == pytest.approx(1 / N, abs=1e-6)
    blocks = same_class_mass(block_maps(), LABELS, pairs)
    assert blocks.others.item() == pytest.approx(1, abs=1e-12)
    assert blocks.chance == pytest.approx(expected, abs=1e-12)


def test_attention_to_oneself_or_to_the_pair_is_not_fusion() -> None:
    maps = random_maps()
    others = same_class_mass(maps, LABELS, PAIRS).others
    rows = torch.arange(N)
    maps[rows, rows] += 1000.0
    maps[rows, PAIRS] += 500.0
    heavy = same_class_mass(maps, LABELS, PAIRS)
    assert torch.allclose(heavy.others, others, atol=1e-9)
    assert heavy.own > 0.66
    assert heavy.pair is not None
    assert heavy.pair > 0.33


def test_rows_that_give_nothing_away_are_left_out() -> None:
    identity = same_class_mass(torch.eye(N), LABELS)
    assert identity.own == 1
    assert identity.others.isnan()
    maps = random_maps()
    expected = naive_mass(maps, None)[1] * N - maps[0, 0]
    maps[0] = 0
    assert same_class_mass(maps, LABELS).own.item() == pytest.approx(float(expected) / (N - 1))


def naive_sharpness(a: Tensor, include_self: bool) -> float:
    lowest, highest = math.inf, -math.inf
    for i in range(N):
        for j in range(N):
            if LABELS[i] != LABELS[j]:
                highest = max(highest, float(a[i, j]))
            elif i != j or include_self:
                lowest = min(lowest, float(a[i, j]))
    return lowest / highest


@pytest.mark.parametrize("include_self", [False, True])
def test_sharpness_equals_the_naive_loops(include_self: bool) -> None:
    maps = random_maps(2, 3)
    maps.diagonal(dim1=-2, dim2=-1).mul_(1e-3)
    measured = sharpness(maps, LABELS, include_self=include_self)
    assert measured.shape == (2, 3)
    for s in range(2):
        for h in range(3):
            expected = naive_sharpness(maps[s, h], include_self)
            assert measured[s, h].item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("quantile", [None, 0.0, 0.05, 0.5])
def test_sharpness_of_ideal_and_constant_maps(quantile: float | None) -> None:
    assert sharpness(block_maps(), LABELS, quantile) == math.inf
    assert sharpness(torch.full((N, N), 0.3), LABELS, quantile) == 1
    # Cross-class entries at or below zero, a minus zero among them.
    below = torch.where(block_maps() > 0, 0.5, -0.0)
    below[0, 1] = -0.1
    assert sharpness(below, LABELS, quantile) == math.inf
    assert sharpness(torch.zeros(N, N), LABELS, quantile).isnan()


@pytest.mark.parametrize("quantile", [0.05, 0.3])
def test_quantile_sharpness_equals_torch_quantile(quantile: float) -> None:
    a = random_maps()
    same = LABELS[:, None] == LABELS
    inside = a[same & ~torch.eye(N, dtype=torch.bool)]
    expected = inside.quantile(quantile) / a[~same].quantile(1 - quantile)
    assert sharpness(a, LABELS, quantile).item() == pytest.approx(float(expected), rel=1e-9)


def test_one_pair_decides_the_infimum_but_not_the_quantile() -> None:
    a = torch.where(LABELS[:, None] == LABELS, 0.5, 0.1)
    a[0, 3] = 0.001
    assert sharpness(a, LABELS).item() == pytest.approx(0.01)
    assert sharpness(a, LABELS, 0.1).item() == pytest.approx(5)


def test_entropy() -> None:
    maps = random_maps(2, 3)
    expected = torch.zeros(2, 3).double()
    for i in range(N):
        for j in range(N):
            expected -= maps[..., i, j] * maps[..., i, j].log() / N
    assert torch.allclose(attention_entropy(maps), expected, atol=1e-12)
    assert attention_entropy(torch.full((N, N), 1 / N)).exp().item() == pytest.approx(N, rel=1e-5)
    assert attention_entropy(torch.eye(N)) == 0
    half_empty = torch.cat([torch.zeros(5, N), torch.full((N - 5, N), 1 / N)])
    assert attention_entropy(half_empty).item() == pytest.approx(math.log(N), rel=1e-5)


def test_half_precision_maps_are_measured_in_float32() -> None:
    maps = random_maps(dtype=torch.float16)
    for measured in (sharpness(maps, LABELS), attention_entropy(maps)):
        assert measured.dtype == torch.float32
    assert same_class_mass(maps, LABELS).own == same_class_mass(maps.float(), LABELS).own


BAD = [
    (random_maps(), torch.zeros(N, dtype=torch.long), "labels holds 1 class.* at least 2"),
    (random_maps(), torch.arange(N).clamp(max=8), r"class 0 has 1 sample\(s\) .* at least 2"),
    (random_maps(), LABELS[1:], "labels has 9 entries but attention has 10 rows"),
    (random_maps()[:-1], LABELS, r"shape \(9, 10\); it must be .* \(\.\.\., N, N\)"),
    (random_maps().log().div(0), LABELS, "100 values that are not finite"),
    (torch.ones(N, N, dtype=torch.long), LABELS, "int64 .* floating point"),
]


@pytest.mark.parametrize("measure", [same_class_mass, sharpness])
@pytest.mark.parametrize(("maps", "labels", "message"), BAD)
def test_bad_input_gets_one_clear_sentence(
    measure: Any, maps: Tensor, labels: Tensor, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        measure(maps, labels)


def test_bad_pairs_and_settings_get_one_clear_sentence() -> None:
    maps = random_maps()
    with pytest.raises(ValueError, match="9 entries, for 10 tokens"):
        same_class_mass(maps, LABELS, PAIRS[1:])
    with pytest.raises(ValueError, match="0 to 9"):
        same_class_mass(maps, LABELS, PAIRS + 1)
    with pytest.raises(ValueError, match="joins 10 tokens with themselves"):
        same_class_mass(maps, LABELS, torch.arange(N))
    with pytest.raises(ValueError, match="joins 2 tokens"):
        same_class_mass(maps, LABELS, PAIRS.index_fill(0, torch.tensor([0, 3]), 1))
    twos = torch.arange(N) // 2
    with pytest.raises(ValueError, match=r"class 0 has 2 sample\(s\) .* at least 3"):
        same_class_mass(maps, twos, torch.arange(N) ^ 1)
    with pytest.raises(ValueError, match="attention holds -1 but shares must be at least 0"):
        same_class_mass(-torch.ones(N, N), LABELS)
    with pytest.raises(ValueError, match=r"quantile=0.95 must be from 0 to 0.5"):
        sharpness(maps, LABELS, 0.95)
    with pytest.raises(TypeError, match="attention must be a torch.Tensor, got dict"):
        attention_entropy({0: maps})  # type: ignore[arg-type]
    alone = torch.arange(N).clamp(max=1)
    assert sharpness(maps, alone, include_self=True) < 1
