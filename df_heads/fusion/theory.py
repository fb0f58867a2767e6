"""The theorems of arXiv 2403.18681 as functions: noise bounds, Theorem 1's weights, Theorem 2.

The paper says some things in two ways; each docstring names the form it computes.
"""

import math
from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from df_heads.fusion.integrity import (
    check_bases,
    cluster_bases,
    greedy_search,
    span,
    unit_samples,
)

Theorem2Form = Literal["derived", "printed"]


def noise_bounds(eps: float, rho: float) -> tuple[float, float]:
    r"""The bounds (delta, Delta) on noisy samples, section "Deep Fusion".

    For unit x and x~ with x^T x~ >= 1 - eps, and u orthogonal to a cluster's subspace with
    ``|x^T u| >= rho`` for the samples of the others:

    .. math:: |\tilde{x}^\top u| \le \delta = \sqrt{1 - (1-\epsilon)^2} \quad (x \in U), \qquad
        |\tilde{x}^\top u| \ge \Delta = (1-\epsilon) \rho
        - \sqrt{(1 - (1-\epsilon)^2) (1 - \rho^2)} \quad (x \notin U)

    Delta at or below 0 says nothing, and the paper's own condition for fusion is delta < Delta.

    Args:
        eps: Noise, in [0, 1].
        rho: Cluster Integrity, in [0, 1].

    Raises:
        ValueError: If eps or rho is outside [0, 1].
    """
    _require_unit_range(eps=eps, rho=rho)
    delta = math.sqrt(1 - (1 - eps) ** 2)
    return delta, (1 - eps) * rho - delta * math.sqrt(1 - rho**2)


@torch.no_grad()
def theorem1_weights(
    features: Tensor,
    labels: Tensor,
    bases: Sequence[Tensor] | None = None,
    *,
    restarts: int = 128,
    iterations: int = 300,
    seed: int = 0,
) -> Tensor:
    """Theorem 1's W, for which A = (XW)(XW)^T is block-diagonal over the clusters.

    Column j is a unit vector orthogonal to the subspace of every cluster but that of sample j,
    as the proof has it. (Definition 1's u is the other way round, orthogonal to one cluster
    only; the two agree for K = 2.) The theorem leaves open which: all columns of one cluster are
    the w whose least ``|cos(x, w)|`` over the samples x of the cluster is largest, found by
    Algorithm 1, of the two signs the one with which the x^T w sum to at least 0.

    With unit samples in the subspaces, A_ij = 0 across clusters. Within one of nu samples, A_ij
    is nu (x_i^T w)(x_j^T w), at least nu rho^2 for the rho of this w **if all x^T w have one
    sign**. The proof takes that for granted; x and -x in one cluster give -nu rho^2.

    Args:
        features: Samples X (N, D). Rows need not be of unit length here, but the bound on A is
            for unit rows.
        labels: (N,), integers.
        bases: Orthonormal bases of the subspaces, as in ``cluster_integrity``.
        restarts: Of Algorithm 1.
        iterations: Of Algorithm 1.
        seed: Of its random starts.

    Returns:
        W (D, N), float64.

    Raises:
        TypeError: If an argument is not a tensor.
        ValueError: If shapes, dtypes or lengths do not fit, a sample is not finite or zero, a
            setting is out of range, there are fewer than two classes, or the other clusters
            leave no direction free for one (the theorem assumes (K - 1) r < D).
    """
    if bases is None:
        bases = cluster_bases(features, labels)
    features, index = unit_samples(features, labels)
    bases = check_bases(bases, features, int(index.max()) + 1)
    # Of all clusters but the k-th, which the columns of cluster k must be orthogonal to.
    others = [span(torch.cat([*bases[:k], *bases[k + 1 :]], dim=1).mT) for k in range(len(bases))]
    fullest = max(basis.shape[1] for basis in others)
    if fullest == features.shape[1]:
        raise ValueError(
            f"all clusters but one span {fullest} of {features.shape[1]} dimensions but must "
            "leave at least 1 free, (K - 1) r < D; lower the rank of cluster_bases, or take fewer "
            "classes."
        )
    own = index == torch.arange(len(bases), device=index.device)[:, None]
    _, directions = greedy_search(
        features,
        others,
        own,
        step=0.05,
        restarts=restarts,
        iterations=iterations,
        signed=True,
        seed=seed,
    )
    columns = directions[index]
    toward = torch.zeros(len(bases)).to(features)
    toward.index_add_(0, index, (features * columns).sum(1))
    return (columns * torch.where(toward < 0, -1.0, 1.0)[index, None]).mT


def theorem2_factor(
    n: int, delta: float, capital_delta: float, form: Theorem2Form = "derived"
) -> float:
    r"""Theorem 2's factor, by which a block is said to raise sharpness, up to a constant.

    .. math:: \frac{1}{n} \exp(n (\delta^2 - \Delta^2) + \delta)

    as the appendix derives it ("derived"); the statement in the body has ``2 delta^2`` in place
    of ``delta^2`` ("printed"). The theorem assumes delta < Delta, under which the derived factor
    is below 1 for every n >= 3: as a lower bound it shows no increase. The form as printed
    exceeds 1 for large n, but only where 2 delta^2 > Delta^2.

    Args:
        n: Sequence length.
        delta: From noise_bounds, in [0, 1].
        capital_delta: Delta from noise_bounds, in [0, 1]; the formula squares it, so a negative
            one (which bounds nothing) must not go in.
        form: "derived" or "printed".

    Returns:
        The factor; inf where it is beyond floats.

    Raises:
        ValueError: If n is below 1, delta or Delta is outside [0, 1], or form is unknown.
    """
    _require_unit_range(delta=delta, capital_delta=capital_delta)
    if n < 1:
        raise ValueError(f"n={n} must be at least 1, the number of tokens.")
    if form not in get_args(Theorem2Form):
        raise ValueError(f"form={form!r} is not known; choose 'derived' or 'printed'.")
    weight = 1 if form == "derived" else 2
    try:
        return math.exp(n * (weight * delta**2 - capital_delta**2) + delta) / n
    except OverflowError:
        return math.inf


def _require_unit_range(**values: float) -> None:
    for name, value in values.items():
        if not 0.0 <= value <= 1.0:
            raise ValueError(
                f"{name}={value!r} must be from 0 to 1; beyond that the bounds say nothing."
            )
