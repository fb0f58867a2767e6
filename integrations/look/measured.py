"""Everything that the page shows, as numbers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from df_heads import TransformerProjectionHead
from df_heads.evaluation import nearest_neighbors
from df_heads.fusion import attention_entropy, record_attention, same_class_mass
from df_heads.fusion._undisturbed import undisturbed
from df_heads.integrations.look.gallery import Gallery
from df_heads.integrations.look.plane import in_the_plane

#: Pictures of the attention maps: as many as can be told apart on a phone.
MAP_PICTURES = 24
#: Pictures of the measures over depth.
MEASURED_PICTURES = 256
# Two classes of two pictures.
_LEAST_FOR_CLASSES = 4
#: Rows of neighbours, and pictures in each.
ROWS, IN_A_ROW = 8, 5
Row = tuple[int, list[tuple[int, float]]]


@dataclass(frozen=True)
class Depth:
    """A measure over the layers.

    Attributes:
        trained: Of the head, mean over its attention heads; None where it is not defined.
        untrained: Of the same head with fresh weights.
        uniform: Of attention that chooses nobody.
    """

    trained: Sequence[float | None]
    untrained: Sequence[float | None]
    uniform: float


@dataclass(frozen=True, eq=False)
class Attention:
    """How a batch of pictures attends to each other.

    Attributes:
        batch: Positions in the gallery, sorted by group.
        maps: (n, n) for each layer, mean over the attention heads; row i is what picture i gives.
        sharpest: The layer that is farthest from uniform, from 0.
        rows: What some pictures attend to most, others only, in that layer.
        entropy: Of the rows, over depth, in nats.
        same_class: Share of the attention on others of the own class; None without two classes
            of two pictures.
        tokens: Pictures that the two were measured on.
    """

    batch: list[int]
    maps: list[Tensor]
    sharpest: int
    rows: list[Row]
    entropy: Depth
    same_class: Depth | None
    tokens: int


@dataclass(frozen=True, eq=False)
class Measured:
    """What the page shows.

    Attributes:
        places: (N, 2) in [0, 1].
        places_said: How they were found.
        rows: Nearest neighbours of some pictures, by cosine similarity of their features.
        agreement: Share of the pictures whose nearest neighbour is of their class; None without
            classes.
        chance: What it is for random neighbours.
        attention: None for a head that does not attend.
    """

    places: Tensor
    places_said: str
    rows: list[Row]
    agreement: float | None
    chance: float
    attention: Attention | None


def measure(gallery: Gallery, features: Tensor, head: TransformerProjectionHead | None) -> Measured:
    """Measure a gallery of N pictures, features (N, D).

    Raises:
        ValueError: If features or attention are not finite.
    """
    places, said = in_the_plane(features)
    found = nearest_neighbors(features, min(IN_A_ROW, len(features) - 1))
    rows = [
        (i, list(zip(found.indices[i].tolist(), found.similarities[i].tolist(), strict=True)))
        for i in gallery.spread(ROWS)
    ]
    agreement = None
    groups = gallery.groups
    if gallery.has_classes:
        agreement = float((groups[found.indices[:, 0]] == groups).double().mean())
    counts = torch.bincount(groups).double()
    chance = float((counts * (counts - 1)).sum() / (len(groups) * (len(groups) - 1)))
    attention = None if head is None else _attention(gallery, features, head)
    return Measured(places, said, rows, agreement, chance, attention)


def _attention(gallery: Gallery, features: Tensor, head: TransformerProjectionHead) -> Attention:
    limit = head.sequence_length or len(gallery)
    has_classes = gallery.has_classes and gallery.pairable >= 2 and limit >= _LEAST_FOR_CLASSES
    least = 2 if has_classes else 1
    batch = gallery.spread(min(MAP_PICTURES, limit), least_of_each=least)
    maps = [weights.mean(dim=0) for weights in _weights(head, features[batch])]
    sharpest = min(range(len(maps)), key=lambda layer: float(attention_entropy(maps[layer])))
    others = maps[sharpest].clone().fill_diagonal_(-math.inf)
    most = others.topk(min(IN_A_ROW, len(batch) - 1), dim=1)
    step = max(1, len(batch) // ROWS)
    rows = [
        (
            batch[i],
            [
                (batch[j], weight)
                for j, weight in zip(most.indices[i].tolist(), most.values[i].tolist(), strict=True)
            ],
        )
        for i in range(0, len(batch), step)
    ][:ROWS]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        fresh = TransformerProjectionHead(**head.options).eval()
    many = gallery.spread(min(MEASURED_PICTURES, limit), least_of_each=least)
    ours, theirs = (_weights(one, features[many]) for one in (head, fresh))
    entropy = Depth(_entropies(ours), _entropies(theirs), math.log(len(many)))
    same = None
    if has_classes:
        labels = gallery.groups[many]
        chance = same_class_mass(torch.ones(len(many), len(many)), labels).chance
        trained, untrained = ([_mass(m, labels) for m in found] for found in (ours, theirs))
        same = Depth(trained, untrained, chance)
    return Attention(batch, maps, sharpest, rows, entropy, same, len(many))


def _weights(head: TransformerProjectionHead, features: Tensor) -> list[Tensor]:
    """The attention (heads, N, N) of every layer over one batch (N, D)."""
    with undisturbed(head), record_attention(head) as recorded:
        head(features)
    return [weights[0] for weights in recorded.values()]


def _entropies(layers: Sequence[Tensor]) -> list[float]:
    """Mean over the attention heads, layer by layer."""
    return [float(attention_entropy(weights).mean()) for weights in layers]


def _mass(weights: Tensor, labels: Tensor) -> float | None:
    """Share on others of the class, mean over the heads; None where nobody attends to others."""
    mass = float(same_class_mass(weights, labels).others.nanmean())
    return None if math.isnan(mass) else mass
