"""The mask that keeps an image from attending to its own other view."""

import inspect

import torch
from torch import Tensor, nn


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
