"""Each method with both kinds of heads on scikit-learn's digits: it learns, and no head dies."""

from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from pytorch_lightning import Callback, Trainer
from torch import Tensor

from df_heads.augment import SimCLRAugment
from df_heads.benchmarks.harness.data.images import ImageData, load_images
from df_heads.evaluation import knn_accuracy
from df_heads.integrations.callbacks.collapse_monitor import CollapseMonitor
from df_heads.integrations.choices import METHODS, MethodName
from df_heads.integrations.method.base import Method, Views
from df_heads.integrations.method.classes import method_class
from df_heads.integrations.training.augmented_images import AugmentedImages, evaluation_batches
from df_heads.integrations.training.callbacks import SeedEachStep

SIZE, BATCH = 16, 64
AUGMENT = SimCLRAugment(SIZE, min_scale=0.3, hf_prob=0.0, cj_strength=0.5)
#: Smaller than the defaults, for the short trainings of the first test.
SMALL: dict[str, dict[str, Any]] = {
    "moco": {"queue_size": 512, "teacher_momentum": 0.9},
    "byol": {"prediction_hidden_dim": 128, "teacher_momentum": 0.9},
    "vicreg": {"head_options": {"output_dim": 256}},
}


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> ImageData:
    return load_images("digits", image_size=SIZE, cache_dir=tmp_path_factory.mktemp("cache"))


def built(name: MethodName, head: str, views: Views = "separate", **options: Any) -> Method:
    torch.manual_seed(0)
    return method_class(name)("test_resnet", head, views, image_size=SIZE, **options)


def train(model: Method, digits: ImageData, steps: int, folder: Path, *callbacks: Callback) -> None:
    trainer = Trainer(
        default_root_dir=folder,
        max_epochs=-1,
        max_steps=steps,
        accelerator="cpu",
        callbacks=[SeedEachStep(0), *callbacks],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    batches = AugmentedImages(digits.train_images, digits.train_labels, AUGMENT, batch_size=BATCH)
    trainer.fit(model, batches)


@torch.no_grad()
def accuracy(model: Method, digits: ImageData) -> float:
    """Test digits whose 10 nearest training digits have their class, in percent."""
    model.eval()

    def features(images: Any) -> Tensor:
        return torch.cat([model(batch) for batch in evaluation_batches(images, AUGMENT)])

    labels = torch.from_numpy(digits.train_labels), torch.from_numpy(digits.test_labels)
    return 100 * knn_accuracy(
        features(digits.train_images), labels[0], features(digits.test_images), labels[1], k=10
    )


@pytest.mark.slow
@pytest.mark.parametrize("views", get_args(Views))
@pytest.mark.parametrize("head", ["transformer-stable", "feedforward"])
@pytest.mark.parametrize("name", METHODS)
def test_each_method_learns_with_both_heads(
    name: MethodName, head: str, views: Views, digits: ImageData, tmp_path: Path
) -> None:
    model = built(name, head, views, **{"learning_rate": 0.1, **SMALL.get(name, {})})
    before = accuracy(model, digits)
    train(model.train(), digits, 80, tmp_path)
    assert accuracy(model, digits) > before + 5


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_the_stable_head_lives_in_the_default_recipe(
    name: MethodName, digits: ImageData, tmp_path: Path
) -> None:
    """200 steps of the method as it comes, optimiser and learning rate too."""
    model, monitor = built(name, "transformer-stable"), CollapseMonitor()
    train(model, digits, 200, tmp_path, monitor)
    assert monitor.found == {}
    assert monitor.last["projection_head"].cause is None
    assert accuracy(model, digits) > accuracy(built(name, "transformer-stable"), digits) + 5
