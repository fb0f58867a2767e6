"""Batches of uint8 images, turned into two augmented views on the device."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from df_heads.benchmarks.harness.views.augment import SimCLRAugment
from df_heads.benchmarks.harness.views.batches import TrainingBatches
from df_heads.benchmarks.harness.views.kornia_augment import KorniaAugment

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


class TwoViews(TrainingBatches):
    """Training batches ([view, view], labels).

    Args:
        images: uint8 (N, 3, S, S).
        labels: int64 (N,).
        augment: Draws one view of each image.
        options: See TrainingBatches.
    """

    def __init__(
        self,
        images: npt.NDArray[np.uint8],
        labels: npt.NDArray[np.int64],
        augment: SimCLRAugment | KorniaAugment,
        **options: int,
    ) -> None:
        super().__init__(**options)
        self.dataset = ImageBatches(images, labels)
        self.augment = augment

    def train_dataloader(self) -> DataLoader[Any]:
        """Shuffled, every batch full."""
        return self.loader(self.dataset)

    def on_after_batch_transfer(
        self, batch: tuple[Tensor, Tensor], dataloader_idx: int
    ) -> tuple[list[Tensor], Tensor]:
        """Draw two views of each image, on the device."""
        images, labels = batch
        generator = self.generator_of_step(images.device)
        augment = self.augment.to(images.device)
        return [augment(images, generator), augment(images, generator)], labels


def evaluation_batches(images: npt.NDArray[np.uint8], augment: SimCLRAugment) -> Iterator[Tensor]:
    """The images in order, normalised and not augmented, (B, 3, S, S) at a time."""
    for start in range(0, len(images), EVALUATION_BATCH):
        part = np.array(images[start : start + EVALUATION_BATCH])
        yield augment.normalize(torch.from_numpy(part).to(augment.mean.device))
