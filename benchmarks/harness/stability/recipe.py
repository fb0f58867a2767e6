"""What a short training is made of, and the grid of them."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

METHODS = ("simclr", "moco", "byol", "vicreg", "barlowtwins")
BACKBONES = ("test_resnet", "test_vit")
#: lightly's own head of the method, the feed-forward one, the paper's form, the stable form, and
#: what was tried on the way from the one to the other.
HEADS = ("lightly", "stable", "paper", "feedforward")
CANDIDATES = ("paper-prenorm", "paper-inputnorm", "stable-scale1", "stable-noinputnorm")
#: Optimiser and peak learning rate.
RATES = (
    *(("sgd", rate) for rate in (0.03, 0.1, 0.3, 1.0)),
    *(("adamw", rate) for rate in (1e-4, 1e-3, 3e-3)),
    *(("lars", rate) for rate in (0.3, 1.0)),
)
#: Part of the run with a rising rate, and the largest gradient norm.
GUARDS = ((0.0, None), (0.1, None), (0.0, 1.0), (0.1, 1.0))
STEPS = 200
#: As in lightly's ImageNet benchmarks.
LARS_WEIGHT_DECAY = 1e-6


@dataclass(frozen=True)
class Recipe:
    """Everything of a short training but the head.

    Attributes:
        method: One of METHODS.
        backbone: Name of a timm model for images of 16 x 16.
        optimizer: "sgd" (momentum 0.9), "adamw" or "lars" (momentum 0.9, weight decay
            `LARS_WEIGHT_DECAY` on weights), torch's and lightly's defaults otherwise.
        learning_rate: Its peak; a cosine to 0 follows.
        warmup: Part of the run in which it rises linearly.
        clip: Largest norm of the gradient; None clips nothing.
        batch_size: Images of a batch.
        seed: Of the weights, the order of the images and their views.
        steps: Steps of the optimiser.
    """

    method: str
    backbone: str
    optimizer: str
    learning_rate: float
    warmup: float = 0.0
    clip: float | None = None
    batch_size: int = 64
    seed: int = 0
    steps: int = STEPS

    def key(self, head: str) -> dict[str, Any]:
        """What tells the run of a head in this recipe from all others."""
        return {"head": head, **asdict(self)}


def grid(
    *,
    methods: Sequence[str] = METHODS,
    backbones: Sequence[str] = BACKBONES,
    batch_sizes: Sequence[int] = (64, 256),
    seeds: Sequence[int] = (0,),
    steps: int = STEPS,
) -> Iterator[Recipe]:
    """Every recipe, those without guard and with small batches first."""
    for batch_size, (warmup, clip), seed, backbone in product(
        batch_sizes, GUARDS, seeds, backbones
    ):
        for (optimizer, rate), method in product(RATES, methods):
            yield Recipe(method, backbone, optimizer, rate, warmup, clip, batch_size, seed, steps)
