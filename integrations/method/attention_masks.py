"""Whom a sample attends to beside the whole batch: SimCLR's mask_partner and streams.

Both hand the head a mask: without an image's own other view, or with nobody but oneself, as the
second stream of BatchFormer (arXiv 2203.01522).
"""

import inspect
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from df_heads import TransformerProjectionHead


class PartnerMask:
    """Attention masks of joint sequences in which no token attends to its image's other view.

    The mask of the last batch is kept, for the next one is usually as large.
    """

    def __init__(self) -> None:
        self._mask: Tensor | None = None

    def __call__(self, images: int, device: torch.device) -> Tensor:
        """Bool (2 N, 2 N), True = may attend, of N images whose views are tokens i and i + N."""
        mask = self._mask
        if mask is None or len(mask) != 2 * images or mask.device != device:
            own = torch.eye(2 * images, dtype=torch.bool, device=device)
            mask = self._mask = ~own.roll(images, dims=0)
        return mask


def check_maskable(views: str, head: nn.Module) -> None:
    """Check that a mask of partners has a meaning for a head and its sequences.

    Args:
        views: See Method.
        head: The projection head.

    Raises:
        ValueError: If it has none.
    """
    if views != "joint":
        raise ValueError(
            f"mask_partner=True needs views='joint'; with views={views!r} an image's two views "
            "never share a sequence."
        )
    if "attn_mask" not in inspect.signature(head.forward).parameters:
        raise ValueError(
            f"mask_partner=True needs a head whose forward takes attn_mask, such as "
            f"TransformerProjectionHead; {type(head).__name__} does not."
        )
    length = getattr(head, "sequence_length", None)
    if length is not None:
        raise ValueError(
            f"mask_partner=True needs both views in one sequence; sequence_length={length} of the "
            "head cuts it: leave it out."
        )
    if getattr(head, "gather_distributed", False):
        raise ValueError(
            "mask_partner=True is a mask for one process's batch; the head's "
            "gather_distributed=True attends to all processes: leave one of them out."
        )


def project_alone(head: nn.Module, features: Sequence[Tensor]) -> list[Tensor]:
    """Projections (N, d) of each view's features (N, D), each sample attending to itself only.

    What attention="self" gives with the same weights: one token attends to itself with weight 1.
    BatchNorm, in a head that has it, takes its statistics over each view.
    """
    itself = torch.eye(len(features[0]), dtype=torch.bool, device=features[0].device)
    return list(head(torch.stack(list(features)), attn_mask=itself))


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
