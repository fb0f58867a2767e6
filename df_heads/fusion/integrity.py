"""Cluster Integrity, Definition 1 of arXiv 2403.18681, found by its Algorithm 1.

The paper's data are samples that each lie in one of K subspaces U_1, ..., U_K, one per class.
Everything here is about cosines, so samples are normalised to unit length first, and is
computed in float64.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from df_heads._labelled import check_at_least_one, check_labelled
from df_heads.fusion._classes import class_index

# The last step over the first: what is left of the error of a fixed step.
_STEP_DECAY = 1e-4


class ClusterIntegrity(NamedTuple):
    """Definition 1: how well each class's subspace can be told from the samples of the others.

    Attributes:
        per_class: rho_k in [0, 1], (K,), in ascending order of the labels.
        rho: The least of them.
    """

    per_class: Tensor
    rho: float


@torch.no_grad()
def cluster_bases(features: Tensor, labels: Tensor, rank: int | None = None) -> list[Tensor]:
    """Orthonormal bases of the classes' spans, by SVD (line 1 of Algorithm 1).

    Args:
        features: Samples (N, D).
        labels: (N,), integers.
        rank: The most directions per class, those of largest singular value. None takes the
            numerical rank, which noise raises to full: give the rank for noisy samples.

    Returns:
        One (D, r_k) float64 matrix with orthonormal columns per class, in ascending order of the
        labels.

    Raises:
        TypeError: If an argument is not a tensor.
        ValueError: If shapes, dtypes or lengths do not fit, a sample is not finite or zero, rank
            is below 1, or there are fewer than two classes.
    """
    if rank is not None:
        check_at_least_one(rank, "rank")
    unit, index = unit_samples(features, labels)
    precision = torch.finfo(features.dtype).eps
    return [span(unit[index == k], precision)[:, :rank] for k in range(int(index.max()) + 1)]


@torch.no_grad()
def cluster_integrity(
    features: Tensor,
    labels: Tensor,
    *,
    bases: Sequence[Tensor] | None = None,
    step: float = 0.05,
    restarts: int = 128,
    iterations: int = 300,
    signed: bool = True,
    seed: int = 0,
) -> ClusterIntegrity:
    r"""Cluster Integrity (Definition 1) by the greedy search of Algorithm 1.

    .. math:: \rho_k = \max_{u \perp U_k} \min_{x \notin U_k} |\cos(x, u)|, \qquad
        \rho = \min_k \rho_k

    u is orthogonal to U_k alone, where Theorem 1 wants it orthogonal to all clusters but one:
    the two agree for K = 2 only. A sample is "not in U_k" when its label says so; one of another
    class that lies in U_k all the same makes rho_k 0.

    The search moves u toward the sample it is least aligned with, from random starts, and keeps
    the best value met. That value is attained by the u at hand, so the result is a lower bound
    on rho. Where the paper's algorithm is silent or falls short: all restarts run for all
    iterations (the printed stopping rule ends a search whose value stands still for one step),
    and the step size is constant for half of them, then shrinks to ``1e-4 * step``.

    Args:
        features: Samples (N, D).
        labels: (N,), integers.
        bases: Orthonormal bases of the classes as from ``cluster_bases``, which is the default
            with numerical ranks; give those of the clean subspaces, or of a lower rank, for
            noisy samples.
        step: alpha, how far to move toward the sample, relative to u of length 1.
        restarts: Random starts per class; memory is ``8 * K * N * (2 * restarts + D)`` bytes.
        iterations: T, steps from each start.
        signed: True moves toward x or -x, whichever raises \|cos\|. False adds alpha x whatever
            the sign, as printed, which lowers \|cos\| when x^T u is negative.
        seed: Of the random starts; the global random state is left alone.

    Raises:
        TypeError: If an argument is not a tensor.
        ValueError: If shapes, dtypes or lengths do not fit, a sample is not finite or zero, a
            setting is out of range, or there are fewer than two classes.
    """
    if bases is None:
        bases = cluster_bases(features, labels)
    features, index = unit_samples(features, labels)
    bases = check_bases(bases, features, int(index.max()) + 1)
    judged = index != torch.arange(len(bases), device=index.device)[:, None]
    per_class, _ = greedy_search(
        features,
        bases,
        judged,
        step=step,
        restarts=restarts,
        iterations=iterations,
        signed=signed,
        seed=seed,
    )
    return ClusterIntegrity(per_class, float(per_class.min()))


def greedy_search(
    samples: Tensor,
    bases: Sequence[Tensor],
    judged: Tensor,
    *,
    step: float,
    restarts: int,
    iterations: int,
    signed: bool,
    seed: int,
) -> tuple[Tensor, Tensor]:
    """Algorithm 1 for K searches at once: unit u orthogonal to a basis, max of min |x^T u|.

    Args:
        samples: Unit vectors (N, D).
        bases: K orthonormal bases, (D, r_k), that each u is to be orthogonal to.
        judged: Bool (K, N), the samples whose |x^T u| counts in each search.
        step: See cluster_integrity, as for the rest.
        restarts: Starts per search.
        iterations: Steps from each.
        signed: Whether the step follows the sign of x^T u.
        seed: Of the starts.

    Returns:
        The best value of each search (K,) and the u that attains it (K, D).
    """
    check_at_least_one(restarts, "restarts")
    check_at_least_one(iterations, "iterations")
    if not 0.0 < step < float("inf"):
        raise ValueError(f"step={step!r} must be finite and above 0; 0.05 is the default.")
    generator = torch.Generator().manual_seed(seed)
    starts = torch.randn(
        len(bases), restarts, samples.shape[1], generator=generator, dtype=torch.float64
    ).to(samples.device)
    # With x projected, x^T u is the same and u + alpha x stays orthogonal to the basis.
    u = F.normalize(torch.stack([_reject(s, b) for s, b in zip(starts, bases, strict=True)]), dim=2)
    projected = torch.stack([_reject(samples, basis) for basis in bases])
    ignored = ~judged[:, None, :]
    searches = torch.arange(len(bases), device=samples.device)
    best = samples.new_zeros(len(bases))
    best_u = u[:, 0]
    for t in range(iterations + 1):
        cosines = u @ projected.mT
        values, nearest = cosines.abs().masked_fill_(ignored, torch.inf).min(2)
        value, restart = values.max(1)
        best_u = torch.where((value > best)[:, None], u[searches, restart], best_u)
        best = torch.maximum(best, value)
        alpha = step * _STEP_DECAY ** max(0.0, 2 * t / iterations - 1)
        move = projected[searches[:, None], nearest]
        if signed:
            below = cosines.gather(2, nearest[..., None]) < 0
            move = torch.where(below, -move, move)
        u = F.normalize(u + alpha * move, dim=2)
    return best, best_u


def unit_samples(features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Samples (N, D) in float64 and of unit length, and their classes as 0 to K - 1."""
    features, labels = check_labelled(features, labels)
    index = class_index(labels, features, name="features")
    lengths = features.double().norm(dim=1, keepdim=True)
    zeros = int((lengths == 0).sum())
    if zeros:
        raise ValueError(
            f"features holds {zeros} zero sample(s) but a cosine needs a direction; leave them out."
        )
    return features.double() / lengths, index


def check_bases(bases: Sequence[Tensor], features: Tensor, classes: int) -> list[Tensor]:
    """The bases in float64 beside the samples, or ValueError if they do not fit them."""
    width = features.shape[1]
    shapes = [tuple(basis.shape) for basis in bases]
    if len(shapes) != classes or any(len(s) != 2 or s[0] != width or not s[1] for s in shapes):
        raise ValueError(
            f"bases have shapes {shapes}, for {classes} classes of width {width}; pass one "
            f"({width}, rank) matrix per class, as from cluster_bases."
        )
    bases = [basis.detach().to(features) for basis in bases]
    worst = max(float((b.mT @ b - torch.eye(b.shape[1]).to(b)).abs().max()) for b in bases)
    if not worst < 1e-4:
        raise ValueError(
            f"bases are {worst:.2g} from orthonormal, more than 0.0001; pass those of "
            "cluster_bases, or the Q of torch.linalg.qr."
        )
    return bases


def span(rows: Tensor, precision: float = torch.finfo(torch.float64).eps) -> Tensor:
    """Orthonormal basis (D, r) of the span of rows (M, D), r >= 1 their rank at this precision."""
    directions: Tensor
    _, singular, directions = torch.linalg.svd(rows, full_matrices=False)
    rank = int((singular > singular[0] * max(rows.shape) * precision).sum())
    return directions[: max(1, rank)].mT


def _reject(vectors: Tensor, basis: Tensor) -> Tensor:
    """The part of each row that is orthogonal to the columns of basis."""
    return vectors - (vectors @ basis) @ basis.mT
