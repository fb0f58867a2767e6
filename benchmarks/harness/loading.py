"""Batches of uint8 images, turned into two augmented views on the device."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from df_heads.benchmarks.harness.augment import SimCLRAugment

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


class TwoViews(LightningDataModule):
    """Training batches ([view, view], labels), reproducible from the seed alone.

    The order of the images depends on seed and epoch, the views on seed and step: neither on what
    model is trained, nor on whether the run was interrupted.

    Args:
        images: uint8 (N, 3, S, S).
        labels: int64 (N,).
        augment: Draws one view of each image.
        batch_size: Images per step and device.
        workers: Processes that gather batches; 0 gathers them in the training process.
        seed: See above.
    """

    def __init__(
        self,
        images: npt.NDArray[np.uint8],
        labels: npt.NDArray[np.int64],
        augment: SimCLRAugment,
        *,
        batch_size: int,
        workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.dataset = ImageBatches(images, labels)
        self.augment = augment
        self.batch_size = batch_size
        self.workers = workers
        self.seed = seed

    def train_dataloader(self) -> DataLoader[tuple[Tensor, Tensor]]:
        """Shuffled, every batch full."""
        assert self.trainer is not None
        # Also for one process: it shuffles by seed + epoch, which Lightning sets.
        sampler: DistributedSampler[tuple[Tensor, Tensor]] = DistributedSampler(
            self.dataset,
            num_replicas=self.trainer.world_size,
            rank=self.trainer.global_rank,
            shuffle=True,
            seed=self.seed,
            drop_last=True,
        )
        return DataLoader(
            self.dataset,
            batch_size=self.batch_size,
            sampler=sampler,
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
            pin_memory=torch.cuda.is_available(),
            collate_fn=_already_a_batch,
            drop_last=True,
        )

    def on_after_batch_transfer(
        self,
        batch: tuple[Tensor, Tensor],
        dataloader_idx: int,
    ) -> tuple[list[Tensor], Tensor]:
        """Draw two views of each image, on the device."""
        assert self.trainer is not None
        images, labels = batch
        draw = (self.trainer.global_step, self.trainer.global_rank, self.seed)
        generator = torch.Generator(images.device)
        generator.manual_seed(
            int(np.random.SeedSequence(draw).generate_state(1, np.uint64)[0] >> 1)
        )
        augment = self.augment.to(images.device)
        return [augment(images, generator), augment(images, generator)], labels


def evaluation_batches(images: npt.NDArray[np.uint8], augment: SimCLRAugment) -> Iterator[Tensor]:
    """The images in order, normalised and not augmented, (B, 3, S, S) at a time."""
    for start in range(0, len(images), EVALUATION_BATCH):
        part = np.array(images[start : start + EVALUATION_BATCH])
        yield augment.normalize(torch.from_numpy(part).to(augment.mean.device))


def _already_a_batch(batch: Any) -> Any:
    return batch
