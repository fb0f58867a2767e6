"""Synthetic unions of subspaces: the data that the paper's theory speaks of."""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from df_heads.benchmarks.harness.base.errors import InputError

Noise = Literal["random", "aimed"]


@dataclass(frozen=True)
class Setting:
    """One union of subspaces and the noise on its samples.

    Attributes:
        clusters: K.
        rank: Dimensions of each subspace, r.
        samples: n, shared out evenly; at least two per cluster.
        width: Dimensions of the space, m.
        angle: Every principal angle between any two subspaces, in degrees, in (0, 90].
        eps: The cosine of a noisy sample with its clean one is 1 - eps.
        noise: Direction of the noise: "random", or "aimed" at the next cluster.
    """

    clusters: int = 4
    rank: int = 2
    samples: int = 60
    width: int = 32
    angle: float = 90.0
    eps: float = 1e-3
    noise: Noise = "random"

    def __post_init__(self) -> None:
        needed = (self.clusters + 1) * self.rank
        if self.clusters < 2 or self.rank < 1 or needed > self.width:
            raise InputError(
                f"clusters={self.clusters} of rank={self.rank} need at least 2 clusters and "
                f"(K + 1) r = {needed} of width={self.width} dimensions; take fewer."
            )
        if self.samples < 2 * self.clusters:
            raise InputError(
                f"samples={self.samples} must be at least {2 * self.clusters}, two for each of "
                f"{self.clusters} clusters."
            )
        if not 0.0 < self.angle <= 90.0 or not 0.0 <= self.eps <= 1.0:
            raise InputError(
                f"angle={self.angle!r} must be above 0 and at most 90 degrees, eps={self.eps!r} "
                "from 0 to 1."
            )


class Union(NamedTuple):
    """Clean unit samples (n, m), their clusters (n,), in order, and K bases (m, r), in float64."""

    samples: Tensor
    labels: Tensor
    bases: list[Tensor]


def draw_union(setting: Setting, generator: torch.Generator) -> Union:
    """Random subspaces at the setting's angle, samples uniform on their unit spheres.

    The subspaces share a random r-dimensional direction and each has its own: basis
    ``cos(phi) Q_0 + sin(phi) Q_k`` with ``cos(phi)^2 = cos(angle)``, so that ``B_j^T B_k`` is
    ``cos(angle)`` times the identity for every two of them.
    """
    width, rank, clusters = setting.width, setting.rank, setting.clusters
    blocks = torch.linalg.qr(_normal(generator, width, (clusters + 1) * rank)).Q.split(rank, dim=1)
    # The cosine of 90 degrees is not 0 in floating point; the sine of 0 is.
    cosine = math.sin(math.radians(90.0 - setting.angle))
    shared, own = math.sqrt(cosine), math.sqrt(1.0 - cosine)
    bases = [shared * blocks[0] + own * block for block in blocks[1:]]
    labels = (torch.arange(setting.samples) % clusters).sort().values
    coordinates = F.normalize(_normal(generator, setting.samples, rank), dim=1)
    samples = torch.einsum("nmr,nr->nm", torch.stack(bases)[labels], coordinates)
    return Union(samples, labels, bases)


def add_noise(clean: Tensor, eps: float, toward: Tensor) -> Tensor:
    """Unit samples whose cosine with the clean ones is 1 - eps, the most noise the theory allows.

    Args:
        clean: Unit samples (n, m).
        eps: In [0, 1].
        toward: Directions (n, m) of the noise; the part orthogonal to the sample counts.
    """
    aside = toward - (toward * clean).sum(1, keepdim=True) * clean
    return (1 - eps) * clean + math.sqrt(1 - (1 - eps) ** 2) * F.normalize(aside, dim=1)


def noise_directions(setting: Setting, directions: Tensor, generator: torch.Generator) -> Tensor:
    """Where the noise of each sample goes, (n, m).

    Args:
        setting: Its ``noise`` chooses; "aimed" is the next cluster's direction.
        directions: Theorem 1's column of each cluster, (K, m).
        generator: Of random noise.
    """
    if setting.noise == "random":
        return _normal(generator, setting.samples, setting.width)
    clusters = (torch.arange(setting.samples) % setting.clusters).sort().values
    return directions[(clusters + 1) % setting.clusters]


def _normal(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator, dtype=torch.float64)
