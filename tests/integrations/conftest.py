from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from df_heads import TransformerProjectionHead


class LightlyLike(Dataset[Any]):
    """Items as lightly's LightlyDataset with SimCLRTransform gives them."""

    def __len__(self) -> int:
        return 64

    def __getitem__(self, index: int) -> tuple[list[Tensor], int, str]:
        g = torch.Generator().manual_seed(index)
        image = torch.randn(3, 16, 16, generator=g)
        noise = 0.1 * torch.randn(2, 3, 16, 16, generator=g)
        return [image + noise[0], image + noise[1]], index % 4, f"{index}.png"


@pytest.fixture
def loader() -> Callable[[], DataLoader[Any]]:
    """Makes a loader of 4 batches of 16 images in two views."""
    return lambda: DataLoader(LightlyLike(), batch_size=16, drop_last=True)


@pytest.fixture
def views(loader: Callable[[], DataLoader[Any]]) -> list[Tensor]:
    """The two views of one batch."""
    batch: list[Tensor] = next(iter(loader()))[0]
    return batch


@pytest.fixture
def tiny() -> Callable[..., Any]:
    """Makes a method with a tiny backbone and a tiny head that mixes from the start."""

    def make(method: Callable[..., Any], seed: int = 0, **options: Any) -> Any:
        torch.manual_seed(seed)
        backbone = nn.Sequential(
            nn.Conv2d(3, 16, 3, stride=2), nn.BatchNorm2d(16), nn.ReLU(), nn.AdaptiveAvgPool2d(1)
        )
        head = TransformerProjectionHead(
            16, 8, 8, num_layers=2, num_heads=2, head_dim=4, form="paper"
        )
        return method(backbone, **{"head": head, "image_size": 16, **options})

    return make


@pytest.fixture
def quick_trainer(tmp_path: Path) -> Callable[..., Trainer]:
    """Makes a Trainer of 2 epochs that writes nothing."""

    def make(**options: Any) -> Trainer:
        return Trainer(
            **{
                "default_root_dir": tmp_path,
                "max_epochs": 2,
                "accelerator": "cpu",
                "logger": False,
                "enable_checkpointing": False,
                "enable_progress_bar": False,
                "enable_model_summary": False,
                **options,
            }
        )

    return make
