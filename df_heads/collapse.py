"""Has a head collapsed? Measures of its outputs, which hold for every loss.

>>> import torch
>>> from df_heads.collapse import measure_collapse
>>> measure_collapse(torch.randn(256, 128)).collapsed
False
>>> measure_collapse(torch.ones(256, 128)).collapsed
True

A loss does not tell: that of BYOL is best where all outputs are equal, and each method has a
constant of its own. The outputs do: either those of different samples have become parallel, or they
differ along one line only.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

# At the last look at the runs of run_stability.py the widest spread of those that became parallel
# was 0.0147; the least of those that lived was 0.0208, in one recipe of MoCo with lightly's head.
LEAST_SPREAD = 0.02
# 1 is a line. The least of a run that lived was 2.9, mostly it was above 5.
LEAST_RANK = 2.0
# Singular values of more samples say no more and cost more.
MOST_SAMPLES = 64


# When a watched run is looked at: every step first, when collapse comes, then every fourth.
FIRST_STEPS, EVERY = 50, 4
# So many looks in a row: outputs of a fresh backbone may start parallel and part.
PATIENCE = 5


@dataclass(frozen=True)
class Collapse:
    """What the outputs of a batch say.

    Attributes:
        finite: Whether all outputs are finite; the other measures are NaN if not.
        spread: See normalized_std.
        mean_cosine: See mean_cosine.
        rank: See effective_rank.
    """

    finite: bool
    spread: float
    mean_cosine: float
    rank: float

    @property
    def cause(self) -> Literal["not finite", "parallel", "line"] | None:
        """What is wrong: outputs that are not finite, parallel, or on one line; None if nothing."""
        if not self.finite:
            return "not finite"
        if self.spread < LEAST_SPREAD:
            return "parallel"
        return "line" if self.rank < LEAST_RANK else None

    @property
    def collapsed(self) -> bool:
        """Whether something is wrong."""
        return self.cause is not None

    def __str__(self) -> str:
        if not self.finite:
            return "outputs that are not finite"
        return (
            f"normalised standard deviation {self.spread:.3g} (collapsed below {LEAST_SPREAD:g}), "
            f"effective rank {self.rank:.3g} (collapsed below {LEAST_RANK:g}), mean cosine "
            f"{self.mean_cosine:.4f}"
        )


@torch.no_grad()
def measure_collapse(z: Tensor) -> Collapse:
    """All measures of a batch of outputs (N, d), N at least 2.

    Args:
        z: Outputs of different samples, such as the projections of one view. The first 64 count.

    Raises:
        ValueError: If z is not a floating point tensor (N, d) with N at least 2.
    """
    # Small matrices: a GPU would take longer, and every number is read anyway.
    z = _checked(z)[:MOST_SAMPLES].cpu()
    if not bool(z.isfinite().all()):
        return Collapse(False, float("nan"), float("nan"), float("nan"))
    return Collapse(
        True,
        float(normalized_std(z)),
        float(mean_cosine(z)),
        float(effective_rank(F.normalize(z, dim=1))),
    )


def normalized_std(z: Tensor) -> Tensor:
    """Standard deviation over the samples of outputs of length 1, times sqrt(d): a scalar.

    1 if the outputs point everywhere alike, 0 if all are parallel (SimSiam, arXiv 2011.10566,
    Section 4.1, without the factor).

    Args:
        z: Outputs (N, d).

    Raises:
        ValueError: See measure_collapse.
    """
    directions = F.normalize(_checked(z), dim=1)
    return directions.var(dim=0).sum().sqrt()


def mean_cosine(z: Tensor) -> Tensor:
    """Mean cosine of the outputs of two different samples: a scalar, 1 if all are parallel.

    Args:
        z: Outputs (N, d).

    Raises:
        ValueError: See measure_collapse.
    """
    directions = F.normalize(_checked(z), dim=1)
    count = len(directions)
    return (directions.sum(dim=0).square().sum() - count) / (count * (count - 1))


def effective_rank(z: Tensor) -> Tensor:
    """Effective rank of centred outputs: a scalar from 1, a line, to min(N - 1, d).

    The exponential of the entropy of the singular values over their sum (Roy and Vetterli, 2007).

    Args:
        z: Outputs (N, d).

    Raises:
        ValueError: See measure_collapse.
    """
    z = _checked(z)
    return _entropy_rank(z - z.mean(dim=0))


def rank_me(z: Tensor) -> Tensor:
    """RankMe (arXiv 2210.02885, Equation 1): the effective rank of outputs as they are, uncentred.

    Args:
        z: Outputs (N, d).

    Raises:
        ValueError: See measure_collapse.
    """
    return _entropy_rank(_checked(z))


def _entropy_rank(z: Tensor) -> Tensor:
    if not bool(z.isfinite().all()):
        raise ValueError("z holds numbers that are not finite; outputs like that have no rank.")
    gram = (z @ z.mT if z.shape[0] <= z.shape[1] else z.mT @ z).double()
    # Singular values as roots of eigenvalues: a tenth of the time of an SVD.
    values = torch.linalg.eigvalsh(gram).clamp_min(0).sqrt()
    shares = values / values.sum().clamp_min(torch.finfo(torch.float64).tiny)
    rank: Tensor = torch.special.entr(shares).sum().exp()
    return rank


def _checked(z: Tensor) -> Tensor:
    if not isinstance(z, Tensor):
        raise TypeError(f"z is a {type(z).__name__}; it must be a tensor of outputs (N, d).")
    if z.dim() != 2 or len(z) < 2 or z.shape[1] == 0 or not z.is_floating_point():
        raise ValueError(
            f"z is {z.dtype} of shape {tuple(z.shape)}; it must be floating point outputs (N, d) "
            "of at least 2 samples."
        )
    return z.to(torch.promote_types(z.dtype, torch.float32))


class CollapseWatch:
    """Looks at the outputs of a run and says once that they have collapsed.

    >>> watch = CollapseWatch()
    >>> found = [watch.look(step, torch.ones(8, 4)) for step in range(10)]
    >>> [step for step, collapse in enumerate(found) if collapse]
    [4]

    It looks at each of the first 50 steps and at every fourth after that, and speaks when 5 looks
    in a row found a collapse: at most 20 steps after it.
    """

    def __init__(self) -> None:
        self._in_a_row = 0
        self._has_spoken = False

    @staticmethod
    def wants(step: int) -> bool:
        """Whether it looks at the outputs of this step, counted from 0."""
        return step < FIRST_STEPS or step % EVERY == 0

    def look(self, step: int, z: Tensor) -> Collapse | None:
        """Look at the outputs (N, d) of a step; what was found, if it is time to speak.

        Raises:
            ValueError: See measure_collapse.
        """
        return self.take(measure_collapse(z)) if self.wants(step) else None

    def take(self, found: Collapse) -> Collapse | None:
        """As look, of a step that it wants, with the measures taken."""
        self._in_a_row = self._in_a_row + 1 if found.collapsed else 0
        # Nothing mends what is not finite.
        due = self._in_a_row >= PATIENCE or not found.finite
        if not due or self._has_spoken:
            return None
        self._has_spoken = True
        return found
