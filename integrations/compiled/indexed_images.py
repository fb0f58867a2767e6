"""Batches as numbers of images that are on the device already, for a step of static shapes."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from typing_extensions import Unpack

from df_heads.augment import SimCLRAugment
from df_heads.integrations.compiled.device_images import DeviceImages
from df_heads.integrations.training.batches import BatchOptions, TrainingBatches


class IndexedImages(TrainingBatches):
    """Training batches (indices, uniforms): which images, and the random numbers of their views.

    For CompiledSimCLR, whose device holds the images.

    Args:
        images: uint8 (N, 3, H, W), as an array or a tensor.
        augment: Turns random numbers into views.

    Raises:
        ValueError: If the images are not uint8 (N, 3, H, W), or fewer than one batch.
    """

    def __init__(
        self,
        images: npt.NDArray[np.uint8] | Tensor,
        augment: SimCLRAugment,
        **options: Unpack[BatchOptions],
    ) -> None:
        super().__init__(**options)
        self.device_images = DeviceImages(images, augment)
        self.dataset = _Indices(len(images))
        if len(images) < self.batch_size:
            raise ValueError(
                f"batch_size={self.batch_size} is more than the {len(images)} images; every batch "
                "is full, so there would be none."
            )

    def train_dataloader(self) -> DataLoader[Any]:
        """Shuffled, every batch full."""
        return self.loader(self.dataset)

    def on_after_batch_transfer(self, batch: Tensor, dataloader_idx: int) -> tuple[Tensor, Tensor]:
        """Draw the random numbers: (N,) to ((N,), (2, 35, N))."""
        generator = self.generator_of_step(batch.device)
        augment = self.device_images.augment.to(batch.device)
        return batch, torch.stack([augment.uniforms(len(batch), generator) for _ in range(2)])


class _Indices(Dataset[Tensor]):
    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitems__(self, indices: list[int]) -> Tensor:
        return torch.tensor(indices)
