"""Two streams through one head, with mixing and without, as in BatchFormer (arXiv 2203.01522)."""

from collections.abc import Callable, Sequence
from itertools import product

import torch
from torch import Tensor, nn

from df_heads import TransformerProjectionHead


def check_streams(streams: int, head: nn.Module) -> None:
    """Check that a head can project in this many streams.

    Raises:
        ValueError: If it cannot.
    """
    if streams not in (1, 2):
        raise ValueError(
            f"streams={streams} is not known; choose 1, or 2 for the loss without mixing too."
        )
    if streams == 1:
        return
    if not isinstance(head, TransformerProjectionHead):
        raise ValueError(
            "streams=2 projects with and without attending over the batch, so it needs a "
            f"TransformerProjectionHead; {type(head).__name__} is none."
        )
    if head.gather_distributed:
        raise ValueError(
            "streams=2 needs samples that see no other in the second stream, which the head's "
            "gather_distributed=True would join across processes; leave one of them out."
        )


def project_alone(head: nn.Module, features: Sequence[Tensor]) -> list[Tensor]:
    """Projections (N, d) of each view's features (N, D), each sample attending to itself only.

    What attention="self" gives with the same weights: one token attends to itself with weight 1.
    BatchNorm, in a head that has it, takes its statistics over each view.
    """
    itself = torch.eye(len(features[0]), dtype=torch.bool, device=features[0].device)
    return list(head(torch.stack(list(features)), attn_mask=itself))


def mean_over_pairs(
    criterion: Callable[[Tensor, Tensor], Tensor],
    first: Sequence[Tensor],
    second: Sequence[Tensor],
) -> Tensor:
    """The mean loss over all pairs of a projection of the first view and one of the second.

    Args:
        criterion: The loss of one pair.
        first: Projections (N, d) of the first view, one for each stream.
        second: Those of the second view.
    """
    return torch.stack([criterion(z0, z1) for z0, z1 in product(first, second)]).mean()
