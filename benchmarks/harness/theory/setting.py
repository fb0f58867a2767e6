"""What a draw of the theory benchmark is asked for; importing this imports no torch."""

from dataclasses import dataclass
from typing import Literal

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
