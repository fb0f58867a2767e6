"""k-means, for pictures without classes."""

import torch
from torch import Tensor
from torch.nn import functional as F

_ROUNDS = 50


@torch.no_grad()
def cluster(features: Tensor, count: int, seed: int = 0) -> Tensor:
    """Spherical k-means: which of `count` groups each sample is in, (N,); large groups first.

    Starts from k-means++ by a fixed seed; a group that becomes empty is left out.

    Args:
        features: (N, D).
        count: At most this many groups.
        seed: Of the start.
    """
    generator = torch.Generator().manual_seed(seed)
    points = F.normalize(features.double(), dim=1)
    centers = points[torch.randint(len(points), (1,), generator=generator)]
    for _ in range(min(count, len(points)) - 1):
        far = (1 - (points @ centers.T).amax(dim=1)).clamp_min(1e-12)
        chosen = torch.multinomial(far, 1, generator=generator)
        centers = torch.cat([centers, points[chosen]])
    groups = torch.full((len(points),), -1)
    for _ in range(_ROUNDS):
        nearest = (points @ centers.T).argmax(dim=1)
        if torch.equal(nearest, groups):
            break
        groups = nearest
        sums = torch.zeros_like(centers).index_add_(0, groups, points)
        centers = F.normalize(sums, dim=1)
    counts = torch.bincount(groups, minlength=len(centers))
    rank = torch.empty_like(counts)
    rank[counts.argsort(descending=True, stable=True)] = torch.arange(len(counts))
    return rank[groups]
