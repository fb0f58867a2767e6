"""lightly's own pipeline: one image at a time, in the DataLoader's worker processes."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from lightly.transforms.simclr_transform import SimCLRTransform
from PIL import Image
from torch.utils.data import DataLoader, Dataset, default_collate
from typing_extensions import Unpack

from df_heads.integrations.training.batches import BatchOptions, OrderOfRun, TrainingBatches


class LightlyViews(TrainingBatches):
    """Training batches ([view, view], labels) drawn by lightly's SimCLRTransform.

    The views depend on seed, epoch and image; not on the number of workers.

    Args:
        images: uint8 (N, 3, S, S).
        labels: int64 (N,).
        transform: Draws two views of a PIL image.
    """

    def __init__(
        self,
        images: npt.NDArray[np.uint8],
        labels: npt.NDArray[np.int64],
        transform: SimCLRTransform,
        **options: Unpack[BatchOptions],
    ) -> None:
        super().__init__(**options)
        self.dataset = _Pictures(images, labels, transform, self.seed)

    def train_dataloader(self) -> DataLoader[Any]:
        """Shuffled, every batch full."""
        return self.loader(self.dataset, _EpochAndIndex, default_collate)


class _EpochAndIndex(OrderOfRun):
    """Tells the worker processes the epoch too, which is part of a view's seed."""

    def __iter__(self) -> Iterator[Any]:
        chosen = super().__iter__()  # sets the epoch
        return ((self.epoch, index) for index in chosen)


class _Pictures(Dataset[tuple[Any, int]]):
    def __init__(
        self,
        images: npt.NDArray[np.uint8],
        labels: npt.NDArray[np.int64],
        transform: SimCLRTransform,
        seed: int,
    ) -> None:
        self.images = images
        self.labels = labels
        self.transform = transform
        self.seed = seed

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, key: tuple[int, int]) -> tuple[Any, int]:
        epoch, index = key
        draw = np.random.SeedSequence((self.seed, epoch, index)).generate_state(2)
        before = np.random.get_state()  # lightly draws from the global generators of both
        try:
            with torch.random.fork_rng([]):
                torch.manual_seed(int(draw[0]))
                np.random.seed(int(draw[1]))
                views = self.transform(Image.fromarray(self.images[index].transpose(1, 2, 0)))
        finally:
            np.random.set_state(before)
        return views, int(self.labels[index])
