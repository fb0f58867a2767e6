import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning
import torch

from df_heads.augment import SimCLRAugment
from df_heads.integrations.byol import BYOL
from df_heads.integrations.callbacks import CollapseMonitor, FusionMonitor, OnlineKNN
from df_heads.integrations.compiled import CompiledSimCLR, IndexedImages
from df_heads.integrations.moco import MoCo
from df_heads.integrations.simclr import SimCLR

Make = Callable[..., Any]
QUIET = {
    "accelerator": "cpu",
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}


@pytest.fixture
def lightning() -> Any:
    return pytest.importorskip("lightning.pytorch", reason="lightning is not installed")


def fitted(package: Any, model: Any, batches: Any, **options: Any) -> Any:
    trainer = package.Trainer(**{"max_epochs": 1, **QUIET, **options})
    trainer.fit(model, batches)
    return trainer


@pytest.mark.parametrize("method", [SimCLR, MoCo, BYOL])
def test_both_packages_train_the_same(
    method: Any, lightning: Any, tiny: Make, loader: Make
) -> None:
    weights = []
    for package in (pytorch_lightning, lightning):
        model = tiny(method)
        fitted(package, model, loader())
        weights.append(model.state_dict())
    theirs, ours = weights
    assert all(torch.equal(theirs[name], ours[name]) for name in theirs)
    assert any(not torch.equal(w, ours[n]) for n, w in tiny(method).state_dict().items())


def test_one_model_goes_from_trainer_to_trainer(lightning: Any, tiny: Make, loader: Make) -> None:
    model = tiny(SimCLR)
    for package in (lightning, pytorch_lightning, lightning):
        before = model.projection_head.input.weight.clone()
        fitted(package, model, loader())
        assert issubclass(type(model), SimCLR)
        assert not torch.equal(model.projection_head.input.weight, before)


@pytest.mark.parametrize("package", ["lightning.pytorch", "pytorch_lightning"])
def test_no_trainer_sees_hooks_that_nobody_wrote(package: str, tiny: Make, loader: Make) -> None:
    trainers = pytest.importorskip(package, reason=f"{package} is not installed")
    is_overridden = pytest.importorskip(f"{package}.utilities.model_helpers").is_overridden
    model = tiny(SimCLR)
    fitted(trainers, model, loader())
    hooks = ("train_dataloader", "val_dataloader", "validation_step", "configure_model", "backward")
    assert [hook for hook in hooks if is_overridden(hook, model)] == []
    assert is_overridden("configure_optimizers", model)


def test_a_run_resumes(lightning: Any, tiny: Make, loader: Make, tmp_path: Path) -> None:
    class KeepTheFirstEpoch(lightning.Callback):
        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            if trainer.current_epoch == 0:
                trainer.save_checkpoint(tmp_path / "half.ckpt")

    whole, resumed = tiny(MoCo), tiny(MoCo, seed=1)
    fitted(lightning, whole, loader(), max_epochs=2, callbacks=KeepTheFirstEpoch())
    trainer = lightning.Trainer(max_epochs=2, **QUIET)
    trainer.fit(resumed, loader(), ckpt_path=tmp_path / "half.ckpt")
    assert all(torch.equal(w, resumed.state_dict()[n]) for n, w in whole.state_dict().items())


def test_callbacks_are_taken_one_by_one_and_in_lists(
    lightning: Any, tiny: Make, loader: Make
) -> None:
    images, labels = torch.randn(12, 3, 16, 16), torch.arange(12) % 3
    monitor, knn = CollapseMonitor(), OnlineKNN(images, labels)
    fusion = FusionMonitor(images, labels)
    fitted(lightning, tiny(SimCLR), loader(), callbacks=monitor)
    fitted(lightning, tiny(SimCLR), loader(), callbacks=[knn, fusion])
    assert set(monitor.last) == {"projection_head"}
    assert list(knn.history["knn_accuracy"]) == [1]
    assert list(fusion.history) == [0, 1]


def test_data_modules(lightning: Any, tiny: Make) -> None:
    images = torch.randint(0, 256, (40, 3, 16, 16), dtype=torch.uint8)
    weights = []
    for package in (pytorch_lightning, lightning):
        model = tiny(CompiledSimCLR)
        batches = IndexedImages(images, SimCLRAugment(16), batch_size=16)
        assert fitted(package, model, batches).global_step == 2
        weights.append(model.projection_head.input.weight)
    assert torch.equal(*weights)


@pytest.mark.parametrize("package", ["lightning.pytorch", "pytorch_lightning"])
def test_trained_models_are_copied_and_pickled(package: str, tiny: Make, loader: Make) -> None:
    model = tiny(SimCLR)
    trainer = fitted(
        pytest.importorskip(package, reason=f"{package} is not installed"), model, loader()
    )
    trainer.strategy._lightning_module = None
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert type(other) is SimCLR
        assert all(torch.equal(w, other.state_dict()[n]) for n, w in model.state_dict().items())
