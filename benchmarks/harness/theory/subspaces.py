"""Synthetic unions of subspaces: the data that the paper's theory speaks of."""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from df_heads.benchmarks.harness.theory.setting import Setting


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
