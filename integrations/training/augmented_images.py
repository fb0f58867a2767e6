"""Batches of uint8 images, turned into two augmented views on the device."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from typing_extensions import Unpack

from df_heads.augment import Augment, SimCLRAugment, TwoViews
from df_heads.integrations.training.batches import BatchOptions, TrainingBatches

EVALUATION_BATCH = 1000


class ImageBatches(Dataset[tuple[Tensor, Tensor]]):
    """Images (N, 3, S, S) and labels (N,), read a whole batch at a time."""

    def __init__(self, images: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64]) -> None:
        self.images = images
        self.labels = labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitems__(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """The batch at `indices`; the DataLoader calls this instead of one call per image."""
        rows = np.asarray(indices)
        return torch.from_numpy(self.images[rows]), torch.from_numpy(self.labels[rows])


class AugmentedImages(TrainingBatches):
    """Training batches ([view, view], labels).

    Args:
        images: uint8 (N, 3, S, S).
        labels: int64 (N,).
        augment: Draws one view of each image.
    """

    def __init__(
        self,
        images: npt.NDArray[np.uint8],
        labels: npt.NDArray[np.int64],
        augment: Augment,
        **options: Unpack[BatchOptions],
    ) -> None:
        super().__init__(**options)
        self.dataset = ImageBatches(images, labels)
        self.two_views = TwoViews(augment)

    def train_dataloader(self) -> DataLoader[Any]:
        """Shuffled, every batch full."""
        return self.loader(self.dataset)

    def on_after_batch_transfer(
        self, batch: tuple[Tensor, Tensor], dataloader_idx: int
    ) -> tuple[list[Tensor], Tensor]:
        """Draw two views of each image, on the device."""
        images, labels = batch
        return self.two_views(images, self.generator_of_step(images.device)), labels


def evaluation_batches(images: npt.NDArray[np.uint8], augment: SimCLRAugment) -> Iterator[Tensor]:
    """The images in order, normalised and not augmented, (B, 3, S, S) at a time."""
    for start in range(0, len(images), EVALUATION_BATCH):
        part = np.array(images[start : start + EVALUATION_BATCH])
        yield augment.normalize(torch.from_numpy(part).to(augment.mean.device))
