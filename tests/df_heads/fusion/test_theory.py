import math
from typing import Any

import pytest
import torch
from torch import Tensor

from df_heads.fusion import cluster_integrity, noise_bounds, theorem1_weights, theorem2_factor


def clean_clusters(classes: int, rank: int, width: int) -> tuple[Tensor, Tensor]:
    """Unit samples of random subspaces, clusters of 3 and more, in mixed order."""
    generator = torch.Generator().manual_seed(classes)
    samples, labels = [], []
    for k in range(classes):
        basis = torch.randn(width, rank, generator=generator).double()
        samples.append(torch.randn(3 + k % 3, rank, generator=generator).double() @ basis.mT)
        labels.append(torch.full((3 + k % 3,), k))
    order = torch.randperm(sum(map(len, labels)), generator=generator)
    features = torch.cat(samples)[order]
    return features / features.norm(dim=1, keepdim=True), torch.cat(labels)[order]


@pytest.mark.parametrize("classes", range(2, 11))
def test_theorem_1_gives_a_block_diagonal_matrix_above_its_bound(classes: int) -> None:
    features, labels = clean_clusters(classes, rank=2, width=2 * classes + 1)
    settings: dict[str, Any] = {"restarts": 16, "iterations": 100}
    weights = theorem1_weights(features, labels, **settings)
    # The proof's silent condition: all samples of a cluster on one side of its w.
    side = (features * weights.mT).sum(1, keepdim=True).sign()
    features = features * side
    weights = theorem1_weights(features, labels, **settings)
    assert weights.shape == (features.shape[1], len(features))
    assert torch.allclose(weights.norm(dim=0), torch.ones(len(features)).double())

    transformed = features @ weights
    attention = transformed @ transformed.mT
    same = labels[:, None] == labels
    assert transformed[~same].abs().max() < 1e-10
    assert attention[~same].abs().max() < 1e-10
    for k in range(classes):
        block = labels == k
        rho = float(transformed[block][:, block].min())
        assert rho > 1e-4
        assert attention[block][:, block].min() >= int(block.sum()) * rho**2 - 1e-12


def test_theorem_1_fails_within_a_cluster_that_lies_on_both_sides() -> None:
    features = torch.tensor([[5.0, 0], [-5, 0], [3, 4], [6, 8]]).double()
    labels = torch.tensor([0, 0, 1, 1])
    unit = features / features.norm(dim=1, keepdim=True)
    transformed = unit @ theorem1_weights(features, labels)
    attention = transformed @ transformed.mT
    # w is orthogonal to (0.6, 0.8): rho = 0.8 for x and -x, and A_01 = -2 rho^2.
    assert attention[0, 1].item() == pytest.approx(-2 * 0.8**2, abs=1e-12)
    assert attention[0, 0].item() == pytest.approx(2 * 0.8**2, abs=1e-12)
    assert attention[:2, 2:].abs().max() < 1e-12


def test_for_two_clusters_theorem_1_and_definition_1_agree() -> None:
    features, labels = clean_clusters(2, rank=1, width=3)
    tilt = torch.tensor([[0.0, 0.0, 0.1]]).double() * torch.arange(len(labels))[:, None]
    features = torch.where(labels[:, None] == 0, features, features + tilt)
    weights = theorem1_weights(features, labels)
    cosines = (features * weights.mT).sum(1).abs() / features.norm(dim=1)
    integrity = cluster_integrity(features, labels).per_class
    for k in range(2):
        # w is orthogonal to the other cluster, and so is the u of the other cluster's rho.
        assert float(cosines[labels == k].min()) == pytest.approx(float(integrity[1 - k]), abs=1e-3)


def test_columns_point_toward_their_cluster() -> None:
    features, labels = clean_clusters(4, rank=2, width=9)
    for sign in (1, -1):
        cosines = (sign * features * theorem1_weights(sign * features, labels).mT).sum(1)
        for k in range(4):
            assert cosines[labels == k].sum() > 0


def test_theorem_1_says_when_no_direction_is_free() -> None:
    features, labels = clean_clusters(4, rank=2, width=6)
    with pytest.raises(ValueError, match=r"span 6 of 6 dimensions but must leave at least 1 free"):
        theorem1_weights(features, labels)


def test_noise_bounds_hold_on_random_draws_and_are_attained() -> None:
    generator = torch.Generator().manual_seed(0)

    def unit(*shape: int) -> Tensor:
        v = torch.randn(*shape, generator=generator).double()
        return v / v.norm(dim=-1, keepdim=True)

    tight = 0
    for draw in range(1000):
        basis = torch.linalg.qr(torch.randn(6, 3, generator=generator).double()).Q
        u = unit(6)
        u = u - basis @ (basis.mT @ u)
        u = u / u.norm()
        inside, outside = basis @ unit(3), unit(6)
        rho = float((outside @ u).abs())
        eps = float(torch.rand(1, generator=generator)) ** 2
        delta, capital_delta = noise_bounds(eps, rho)
        for x, worst in ((inside, u), (outside, -(outside @ u).sign() * u)):
            # Half of the draws are noise in the worst direction, of the largest size.
            toward = worst if draw % 2 else unit(6)
            size = 1.0 if draw % 2 else float(torch.rand(1, generator=generator))
            aside = toward - (toward @ x) * x
            angle = size * math.acos(1 - eps)
            noisy = math.cos(angle) * x + math.sin(angle) * aside / aside.norm()
            assert x @ noisy >= 1 - eps - 1e-12
            cosine = float((noisy @ u).abs())
            if x is inside:
                assert cosine <= delta + 1e-9
                tight += cosine > delta - 1e-9
            else:
                assert cosine >= capital_delta - 1e-9
                tight += abs(cosine - capital_delta) < 1e-9
    assert tight > 500
    assert noise_bounds(0.0, 0.7) == pytest.approx((0.0, 0.7))
    assert noise_bounds(1.0, 0.7) == pytest.approx((1.0, -math.sqrt(0.51)))


def test_theorem_2_as_derived_and_as_printed() -> None:
    assert theorem2_factor(4, 0.2, 0.5) == pytest.approx(math.exp(4 * (0.04 - 0.25) + 0.2) / 4)
    printed = theorem2_factor(4, 0.2, 0.5, form="printed")
    assert printed == pytest.approx(math.exp(4 * (0.08 - 0.25) + 0.2) / 4)
    assert theorem2_factor(100_000, 0.9, 0.1, "printed") == math.inf
    # Under the theorem's own condition the derived bound shows no increase.
    for n in (3, 10, 1000):
        for delta in (0.0, 0.3, 0.8, 0.998):
            for gap in (0.001, 0.1, 0.199):
                if delta + gap <= 1:
                    assert theorem2_factor(n, delta, delta + gap) < 1


def test_settings_out_of_range_get_one_clear_sentence() -> None:
    with pytest.raises(ValueError, match=r"eps=1.5 must be from 0 to 1"):
        noise_bounds(1.5, 0.5)
    with pytest.raises(ValueError, match=r"rho=nan must be from 0 to 1"):
        noise_bounds(0.5, math.nan)
    with pytest.raises(ValueError, match=r"capital_delta=-0.1 must be from 0 to 1"):
        theorem2_factor(4, 0.1, -0.1)
    with pytest.raises(ValueError, match="n=0 must be at least 1"):
        theorem2_factor(0, 0.1, 0.2)
    with pytest.raises(ValueError, match="form='body' is not known; choose 'derived' or 'printed'"):
        theorem2_factor(4, 0.1, 0.2, form="body")  # type: ignore[arg-type]
