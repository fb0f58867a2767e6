from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_lightning import Trainer
from torch import Tensor, nn

from df_heads.augment import SimCLRAugment
from df_heads.integrations.compiled.device_images import DeviceImages
from df_heads.integrations.compiled.indexed_images import IndexedImages
from df_heads.integrations.compiled.simclr import CompiledSimCLR
from df_heads.integrations.small_maps import SmallMapConv2d
from df_heads.nt_xent import ChunkedNTXentLoss

GENERATOR = torch.Generator().manual_seed(0)
IMAGES = torch.randint(256, (48, 3, 16, 16), dtype=torch.uint8, generator=GENERATOR)


def batches(**options: Any) -> IndexedImages:
    return IndexedImages(IMAGES, SimCLRAugment(16), **{"batch_size": 16, **options})


@pytest.fixture
def model(tiny: Callable[..., CompiledSimCLR]) -> CompiledSimCLR:
    return tiny(CompiledSimCLR, learning_rate=0.05)


def test_a_plain_trainer_trains_it(
    model: CompiledSimCLR, quick_trainer: Callable[..., Trainer]
) -> None:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    trainer = quick_trainer()
    trainer.fit(model, batches())
    assert trainer.global_step == 6
    assert trainer.callback_metrics["train_loss_epoch"].isfinite()
    assert model.state_dict().keys() == before.keys()
    moved = [not torch.equal(value, before[name]) for name, value in model.state_dict().items()]
    assert all(moved)
    assert isinstance(model.criterion, ChunkedNTXentLoss)
    assert not hasattr(model, "images")  # they are let go of


def test_prepares_the_backbone(
    tiny: Callable[..., CompiledSimCLR], quick_trainer: Callable[..., Trainer]
) -> None:
    model = tiny(CompiledSimCLR)
    model.backbone = nn.Sequential(
        nn.Conv2d(3, 16, 3, stride=8, padding=1), nn.Conv2d(16, 16, 3, padding=1), nn.Flatten(2)
    )
    model.backbone.append(nn.AdaptiveAvgPool1d(1))
    quick_trainer(max_epochs=1).fit(model, batches())
    assert any(isinstance(module, SmallMapConv2d) for module in model.backbone.modules())


def test_arrays_are_as_good_as_tensors(
    tiny: Callable[..., CompiledSimCLR], quick_trainer: Callable[..., Trainer]
) -> None:
    trained = []
    for images in (IMAGES, IMAGES.numpy()):
        model = tiny(CompiledSimCLR)
        data = IndexedImages(images, SimCLRAugment(16), batch_size=16, seed=1)
        quick_trainer(max_epochs=1).fit(model, data)
        trained.append(list(model.parameters()))
    assert all(map(torch.equal, *trained))


def test_both_views_are_those_of_the_eager_augmentation() -> None:
    augment, source = SimCLRAugment(16), torch.Generator().manual_seed(3)
    images = DeviceImages(IMAGES, augment)
    assert images.state_dict() == {}
    assert len(images) == 48
    uniforms = torch.stack([augment.uniforms(4, source) for _ in range(2)])
    indices = torch.tensor([5, 1, 40, 1])
    source.manual_seed(3)
    for view in images(indices, uniforms):
        assert torch.allclose(view, augment(IMAGES[indices], source), atol=1e-5)


def test_other_batches_are_refused(
    model: CompiledSimCLR, quick_trainer: Callable[..., Trainer], loader: Callable[[], Any]
) -> None:
    with pytest.raises(ValueError, match=r"trainer\.fit\(model, IndexedImages\("):
        quick_trainer().fit(model, loader())


def test_other_precisions_are_refused(
    model: CompiledSimCLR, quick_trainer: Callable[..., Trainer]
) -> None:
    with pytest.raises(ValueError, match="cannot train with precision='bf16-true'; choose"):
        quick_trainer(precision="bf16-true").fit(model, batches())


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (IMAGES.float(), "uint8 of shape .* got torch.float32"),
        (IMAGES[:, 0], "got torch.uint8 of shape \\(48, 16, 16\\)"),
        (np.zeros((48, 16, 16, 3), np.uint8), "shape \\(48, 16, 16, 3\\)"),
        (IMAGES[:15], "batch_size=16 is more than the 15 images"),
    ],
)
def test_bad_images(images: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        IndexedImages(images, SimCLRAugment(16), batch_size=16)


@pytest.mark.parametrize(("name", "value"), [("batch_size", 0), ("workers", -1)])
def test_bad_numbers(name: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"{name}={value} must be at least"):
        batches(**{name: value})
