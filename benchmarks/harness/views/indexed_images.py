"""Batches as numbers of images that are on the device already, for a step of static shapes."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from df_heads.benchmarks.harness.views.augment import SimCLRAugment
from df_heads.benchmarks.harness.views.batches import TrainingBatches


class IndexedImages(TrainingBatches):
    """Training batches (indices, uniforms): which images, and the random numbers of their views.

    Order and random numbers are those of TwoViews at the same seed.

    Args:
        count: Number of images.
        augment: Turns random numbers into views.
        options: See TrainingBatches.
    """

    def __init__(self, count: int, augment: SimCLRAugment, **options: int) -> None:
        super().__init__(**options)
        self.dataset = _Indices(count)
        self.augment = augment

    def train_dataloader(self) -> DataLoader[Any]:
        """Shuffled, every batch full."""
        return self.loader(self.dataset)

    def on_after_batch_transfer(self, batch: Tensor, dataloader_idx: int) -> tuple[Tensor, Tensor]:
        """Draw the random numbers: (N,) to ((N,), (2, 35, N))."""
        generator = self.generator_of_step(batch.device)
        augment = self.augment.to(batch.device)
        return batch, torch.stack([augment.uniforms(len(batch), generator) for _ in range(2)])


class _Indices(Dataset[Tensor]):
    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitems__(self, indices: list[int]) -> Tensor:
        return torch.tensor(indices)


class DeviceImages(nn.Module):
    """All training images on the device, and what draws their views.

    Args:
        images: uint8 (N, 3, S, S).
        augment: Draws a view.
    """

    images: Tensor

    def __init__(self, images: npt.NDArray[np.uint8], augment: SimCLRAugment) -> None:
        super().__init__()
        # Not in checkpoints: the images are known.
        self.register_buffer("images", torch.from_numpy(np.ascontiguousarray(images)), False)
        self.augment = augment

    def forward(self, indices: Tensor, uniforms: Tensor) -> tuple[Tensor, Tensor]:
        """Two views of the images (B,) from random numbers (2, 35, B); each (B, 3, S, S)."""
        # On a CPU Inductor gathers the rotated pixels again for every operation after it: slower.
        draw = _compiled_views if indices.device.type == "cuda" else _views
        first, second = draw(self.images, indices, uniforms, self.augment).chunk(2)
        return first, second


def _views(images: Tensor, indices: Tensor, uniforms: Tensor, augment: SimCLRAugment) -> Tensor:
    """Both views in one batch, (2 B, 3, S, S): half the launches of two."""
    chosen = images.index_select(0, indices).repeat(2, 1, 1, 1)
    parameters = augment.parameters_from(uniforms.transpose(0, 1).flatten(1), *images.shape[2:])
    return augment.transform(chosen, parameters)


_compiled_views = torch.compile(_views, fullgraph=True, dynamic=False)
