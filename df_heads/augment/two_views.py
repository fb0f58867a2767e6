"""Two augmented views of each image of a batch, as a function and as a hook of Lightning."""

from typing import Any, Protocol

import torch
from torch import Tensor, nn


class Augment(Protocol):
    """What draws views of whole batches, such as SimCLRAugment."""

    def __call__(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One view of each image (N, 3, H, W)."""

    def normalize(self, images: Tensor) -> Tensor:
        """The images as they are, with the values that views have, for evaluation."""


class TwoViews(nn.Module):
    """Two views of each image of a batch, on its device.

    >>> import torch
    >>> from df_heads.augment import SimCLRAugment
    >>> two_views = TwoViews(SimCLRAugment(32, cj_strength=0.5))
    >>> images = torch.randint(256, (8, 3, 40, 40), dtype=torch.uint8)
    >>> [view.shape for view in two_views(images, torch.Generator().manual_seed(0))]
    [torch.Size([8, 3, 32, 32]), torch.Size([8, 3, 32, 32])]

    `on_after_batch_transfer` is Lightning's hook of that name, for any LightningModule or
    LightningDataModule; a DataLoader of plain images then gives a method its views::

        model.two_views = TwoViews(SimCLRAugment(32))
        model.on_after_batch_transfer = model.two_views.on_after_batch_transfer

    Nothing is read back from the device. It adds nothing to a state_dict, and `augment`, if it is a
    module, follows the images to their device.

    Args:
        augment: Draws one view of each image, see Augment.
    """

    def __init__(self, augment: Augment) -> None:
        super().__init__()
        self.augment = augment

    def forward(self, images: Tensor, generator: torch.Generator | None = None) -> list[Tensor]:
        """Two views, in training and in evaluation mode.

        Args:
            images: (N, 3, H, W): uint8, or floating point with values in [0, 1].
            generator: Source of the randomness, on the images' device; None for torch's global one.

        Returns:
            Two tensors of N views, drawn one after the other.
        """
        self.to(images.device)
        return [self.augment(images, generator), self.augment(images, generator)]

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> tuple[Any, ...]:
        """Replace a batch's images by their views, in the form that lightly's transforms give.

        In evaluation mode, which a module inside a LightningModule enters with it, the images are
        only normalised. A LightningDataModule has no modes: if it has loaders for validation too,
        call this for ``self.trainer.training`` only.

        Args:
            batch: Images (N, 3, H, W), or a list or tuple of such images and anything else.
            dataloader_idx: Not used.

        Returns:
            ([view, view], *anything else); in evaluation mode (images, *anything else).

        Raises:
            TypeError: If the batch holds no images.
        """
        images, *rest = batch if isinstance(batch, list | tuple) and batch else (batch,)
        if not isinstance(images, Tensor):
            raise TypeError(
                "A batch must be images (N, 3, H, W) or (images, ...) to draw views of; this one "
                f"starts with a {type(images).__name__}. If the DataLoader's transform draws views "
                "already, leave this hook out."
            )
        if self.training:
            return self(images), *rest
        self.to(images.device)
        return self.augment.normalize(images), *rest
