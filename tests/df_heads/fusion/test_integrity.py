import math
from typing import Any

import pytest
import torch
from torch import Tensor

from df_heads.fusion import cluster_bases, cluster_integrity
from df_heads.fusion.integrity import greedy_search, unit_samples


def random_subspaces(
    classes: int, width: int, rank: int, per_class: int, seed: int
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Clean samples, their labels and the bases they come from; lengths vary."""
    generator = torch.Generator().manual_seed(seed)
    bases = [
        torch.linalg.qr(torch.randn(width, rank, generator=generator).double()).Q
        for _ in range(classes)
    ]
    weights = torch.randn(classes, per_class, rank, generator=generator).double()
    samples = torch.cat([w @ b.mT for w, b in zip(weights, bases, strict=True)])
    return 3 * samples, torch.arange(classes).repeat_interleave(per_class), bases


def sphere_grid(steps: int = 300) -> Tensor:
    polar = torch.linspace(0, math.pi, steps).double()[:, None]
    around = torch.linspace(0, 2 * math.pi, 2 * steps).double()[None]
    parts = (polar.sin() * around.cos(), polar.sin() * around.sin(), polar.cos() + 0 * around)
    return torch.stack([part.flatten() for part in parts], dim=1)


def value_of(directions: Tensor, basis: Tensor, others: Tensor) -> float:
    """The best direction (M, D), once made orthogonal to the basis, by Definition 1."""
    projected = directions - directions @ basis @ basis.mT
    length = projected.norm(dim=1, keepdim=True)
    u = (projected / length)[length[:, 0] > 1e-9]
    return float((u @ others.mT).abs().min(1).values.max())


def exact_on_circle(basis: Tensor, others: Tensor) -> float:
    """The true rho_k of a line in 3 dimensions: u is where one cosine peaks or two are equal."""
    plane = torch.linalg.svd(basis, full_matrices=True).U[:, 1:]
    flat = others @ plane
    pairs = torch.cat([(flat[:, None] + s * flat[None]).reshape(-1, 2) for s in (1, -1)])
    equal = torch.stack([-pairs[:, 1], pairs[:, 0]], dim=1)
    return value_of(torch.cat([flat, equal]) @ plane.mT, basis, others)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("rank", [1, 2])
def test_algorithm_1_finds_the_brute_force_value_in_3_dimensions(rank: int, seed: int) -> None:
    features, labels, bases = random_subspaces(3, 3, rank, 6, seed)
    unit = features / features.norm(dim=1, keepdim=True)
    found = cluster_integrity(features, labels)
    grid = sphere_grid()
    for k, basis in enumerate(bases):
        others = unit[labels != k]
        brute = value_of(grid, basis, others)
        assert float(found.per_class[k]) == pytest.approx(brute, abs=1e-3)
        # The grid's own error.
        assert float(found.per_class[k]) <= brute + 1e-4
    assert found.rho == found.per_class.min()


@pytest.mark.parametrize("signed", [True, False])
def test_the_result_never_exceeds_the_true_value(signed: bool) -> None:
    for seed in range(8):
        features, labels, bases = random_subspaces(4, 3, 1, 3, seed)
        unit = features / features.norm(dim=1, keepdim=True)
        found = cluster_integrity(features, labels, restarts=8, iterations=50, signed=signed)
        for k, basis in enumerate(bases):
            assert float(found.per_class[k]) <= exact_on_circle(basis, unit[labels != k]) + 1e-12


def test_the_value_is_attained_by_a_valid_direction() -> None:
    features, labels, bases = random_subspaces(4, 9, 2, 10, 0)
    unit, index = unit_samples(features, labels)
    judged = index != torch.arange(4)[:, None]
    settings: dict[str, Any] = {"restarts": 8, "signed": True, "seed": 0}
    best, u = greedy_search(unit, bases, judged, step=0.05, iterations=200, **settings)
    for k, basis in enumerate(bases):
        assert (u[k] @ basis).abs().max() < 1e-12
        assert float(u[k].norm()) == pytest.approx(1, abs=1e-12)
        attained = (unit[labels != k] @ u[k]).abs().min()
        assert float(best[k]) == pytest.approx(float(attained), abs=1e-12)
    assert best.min() > 0
    start, _ = greedy_search(unit, bases, judged, step=1e-9, iterations=1, **settings)
    assert (best > start + 0.05).all()


def test_the_printed_step_goes_the_wrong_way_where_a_cosine_is_negative() -> None:
    # Class 0 is the z axis. For class 1 the best u is the x axis, cosines of opposite sign.
    c, s = math.cos(math.pi / 6), math.sin(math.pi / 6)
    features = torch.tensor([[0.0, 0, 1], [c, s, 0], [-c, s, 0]], dtype=torch.float64)
    labels = torch.tensor([0, 1, 1])
    for seed in range(5):
        corrected, printed = (
            float(cluster_integrity(features, labels, restarts=1, seed=seed, signed=sign)[0][0])
            for sign in (True, False)
        )
        # One climbs to the peak nearest its start; the other is driven past both.
        assert min(abs(corrected - c), abs(corrected - s)) < 1e-5
        assert min(abs(printed - c), abs(printed - s)) > 1e-3
    assert cluster_integrity(features, labels)[0][0] == pytest.approx(c, abs=1e-5)


def test_identical_subspaces_give_zero_and_orthogonal_lines_one() -> None:
    features, _, _ = random_subspaces(1, 5, 2, 8, 0)
    same = cluster_integrity(features, torch.arange(8) % 2)
    assert same.rho < 1e-12
    assert same.per_class.max() < 1e-12
    lines = torch.tensor([[0.0, 2, 0], [0, -1, 0], [3, 0, 0], [1, 0, 0]])
    apart = cluster_integrity(lines, torch.tensor([4, 4, -1, -1]))
    assert apart.rho == pytest.approx(1, abs=1e-5)
    assert apart.rho <= 1 + 1e-12
    # A class that fills the space leaves no orthogonal direction.
    full = cluster_integrity(torch.randn(6, 2), torch.tensor([0, 0, 0, 0, 1, 1]))
    assert full.rho < 1e-12


def test_seeds_repeat_and_leave_the_global_state_alone() -> None:
    features, labels, _ = random_subspaces(3, 6, 2, 5, 0)
    state = torch.random.get_rng_state()
    runs = [cluster_integrity(features, labels, restarts=2, seed=s).per_class for s in (1, 1, 2)]
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


def test_bases_are_orthonormal_and_span_their_classes() -> None:
    features, labels, clean = random_subspaces(3, 10, 2, 7, 0)
    order = torch.randperm(21)
    for dtype, close in ((torch.float64, 1e-12), (torch.float32, 1e-5)):
        bases = cluster_bases(features[order].to(dtype), labels[order] * 5 - 4)
        for basis, truth in zip(bases, clean, strict=True):
            assert basis.shape == (10, 2)
            assert torch.allclose(basis.mT @ basis, torch.eye(2).double(), atol=1e-12)
            assert torch.allclose(basis @ basis.mT, truth @ truth.mT, atol=close)
    noisy = features + 0.01 * torch.randn(21, 10).double()
    assert [b.shape[1] for b in cluster_bases(noisy, labels)] == [7, 7, 7]
    for basis, truth in zip(cluster_bases(noisy, labels, rank=2), clean, strict=True):
        assert torch.allclose(basis @ basis.mT, truth @ truth.mT, atol=0.1)
    low_rank = cluster_integrity(noisy, labels, bases=clean).rho
    assert low_rank > cluster_integrity(noisy, labels).rho


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": torch.zeros(6, dtype=torch.long)}, "labels holds 1 class.* at least 2"),
        ({"labels": torch.arange(5)}, "labels has 5 entries but features has 6"),
        ({"features": torch.zeros(6, 4)}, "features holds 6 zero"),
        ({"features": torch.ones(6, 4, dtype=torch.long)}, "features must be floating point"),
        ({"bases": [torch.eye(4)]}, r"bases have shapes \[\(4, 4\)\], for 2 classes of width 4"),
        ({"bases": [torch.ones(4, 2)] * 2}, "bases are .* from orthonormal"),
        ({"step": 0.0}, "step=0.0 must be finite and above 0"),
        ({"restarts": 0}, "restarts must be an integer of at least 1"),
        ({"iterations": 0}, "iterations must be an integer of at least 1"),
    ],
)
def test_bad_input_gets_one_clear_sentence(change: dict[str, Any], message: str) -> None:
    good = {"features": torch.randn(6, 4), "labels": torch.arange(6) % 2}
    with pytest.raises(ValueError, match=message):
        cluster_integrity(**{**good, **change})


def test_a_rank_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="rank must be an integer of at least 1"):
        cluster_bases(torch.randn(6, 4), torch.arange(6) % 2, rank=0)
