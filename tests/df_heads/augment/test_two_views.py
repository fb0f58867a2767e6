import copy
import subprocess
import sys
from typing import Any

import pytest
import torch
from pytorch_lightning import LightningDataModule, LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from df_heads.augment import SimCLRAugment, TwoViews

IMAGES = torch.randint(
    256, (8, 3, 20, 20), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(3)


@pytest.fixture
def two_views() -> TwoViews:
    return TwoViews(SimCLRAugment(16))


def test_needs_torch_only() -> None:
    others = ("einops", "torchvision", "lightly", "timm", "pytorch_lightning")
    code = f"import sys, df_heads.augment; print([n for n in {others} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_draws_one_view_after_the_other(two_views: TwoViews) -> None:
    augment, source = SimCLRAugment(16), generator()
    expected = [augment(IMAGES, source), augment(IMAGES, source)]
    first, second = two_views(IMAGES, generator())
    assert torch.equal(first, expected[0])
    assert torch.equal(second, expected[1])
    assert not torch.equal(first, second)


def test_a_generator_leaves_the_global_one_alone(two_views: TwoViews) -> None:
    before = torch.random.get_rng_state()
    two_views(IMAGES, generator())
    assert torch.equal(torch.random.get_rng_state(), before)
    two_views(IMAGES)
    assert not torch.equal(torch.random.get_rng_state(), before)


def test_takes_values_between_0_and_1_as_well(two_views: TwoViews) -> None:
    for ours, theirs in zip(
        two_views(IMAGES / 255, generator()), two_views(IMAGES, generator()), strict=True
    ):
        assert torch.allclose(ours, theirs, atol=1e-5)


def test_it_adds_nothing_to_a_checkpoint(two_views: TwoViews) -> None:
    assert two_views.state_dict() == {}


@pytest.mark.parametrize("rest", [(), (torch.arange(8),), (torch.arange(8), ["name"] * 8)])
def test_a_batch_keeps_what_comes_with_the_images(two_views: TwoViews, rest: tuple[Any]) -> None:
    for batch in ([IMAGES, *rest], (IMAGES, *rest)):
        views, *kept = two_views.on_after_batch_transfer(batch, 0)
        assert [view.shape for view in views] == [(8, 3, 16, 16)] * 2
        assert all(a is b for a, b in zip(kept, rest, strict=True))


def test_a_batch_may_be_the_images_alone(two_views: TwoViews) -> None:
    (views,) = two_views.on_after_batch_transfer(IMAGES, 0)
    assert [view.shape for view in views] == [(8, 3, 16, 16)] * 2


def test_in_evaluation_mode_it_only_normalises(two_views: TwoViews) -> None:
    labels = torch.arange(8)
    images, kept = two_views.eval().on_after_batch_transfer((IMAGES, labels), 0)
    assert torch.equal(images, SimCLRAugment(16).normalize(IMAGES))
    assert kept is labels


@pytest.mark.parametrize("batch", [[], {"image": IMAGES}, ([IMAGES, IMAGES], torch.arange(8))])
def test_a_batch_without_images_is_refused(two_views: TwoViews, batch: Any) -> None:
    with pytest.raises(TypeError, match="A batch must be images .* starts with a (list|dict)"):
        two_views.on_after_batch_transfer(batch, 0)


class Recorder(LightningModule):
    """Keeps the batches it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)
        self.trained: list[Any] = []
        self.validated: list[Any] = []

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        self.trained.append(batch)
        loss: Tensor = self.layer(torch.ones(1, 1)).sum()
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.validated.append(batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Images(LightningDataModule):
    """The images and their numbers, for training and for validation."""

    def train_dataloader(self) -> DataLoader[Any]:
        return DataLoader(TensorDataset(IMAGES, torch.arange(8)), batch_size=4)

    def val_dataloader(self) -> DataLoader[Any]:
        return self.train_dataloader()


class WrittenOut(Images):
    """With the hook as a method of its own, for training only."""

    def __init__(self) -> None:
        super().__init__()
        self.two_views = TwoViews(SimCLRAugment(16))

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        assert self.trainer is not None
        if not self.trainer.training:
            return batch
        return self.two_views.on_after_batch_transfer(batch, dataloader_idx)


@pytest.fixture
def trainer(tmp_path: Any) -> Trainer:
    return Trainer(
        default_root_dir=tmp_path,
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def test_is_a_hook_of_a_module(trainer: Trainer) -> None:
    model = Recorder()
    state = set(model.state_dict())
    model.two_views = TwoViews(SimCLRAugment(16))
    model.on_after_batch_transfer = (  # type: ignore[method-assign]
        model.two_views.on_after_batch_transfer
    )
    images = Images()
    trainer.fit(model, images.train_dataloader(), images.val_dataloader())
    assert_are_views(model.trained)
    # Lightning puts the module into evaluation mode for validation.
    for images, _ in model.validated:
        assert images.shape == (4, 3, 20, 20)
        assert images.dtype == torch.float32
    assert set(copy.deepcopy(model).state_dict()) == state


def test_is_a_hook_of_a_data_module(trainer: Trainer) -> None:
    model, data = Recorder(), Images()
    data.on_after_batch_transfer = (  # type: ignore[method-assign]
        TwoViews(SimCLRAugment(16)).on_after_batch_transfer
    )
    trainer.fit(model, data)
    assert_are_views(model.trained)


def test_can_be_called_from_a_hook(trainer: Trainer) -> None:
    model = Recorder()
    trainer.fit(model, WrittenOut())
    assert_are_views(model.trained)
    assert all(images.dtype == torch.uint8 for images, _ in model.validated)


def assert_are_views(batches: list[Any]) -> None:
    assert len(batches) == 2
    for views, labels in batches:
        assert [view.shape for view in views] == [(4, 3, 16, 16)] * 2
        assert views[0].dtype == torch.float32
        assert len(labels) == 4
