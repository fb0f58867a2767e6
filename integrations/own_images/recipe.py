"""The settings of a training, fitted to the pictures and the machine where none are given."""

import dataclasses
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from df_heads.integrations.choices import (
    METHODS,
    OPTIMIZERS,
    PRECISIONS,
    RESIZES,
    STEMS,
    MethodName,
    Optimizer,
    Precision,
    Resize,
    Stem,
)
from df_heads.integrations.errors import InputError
from df_heads.presets import DEFAULT_HEAD

#: Measured on 200 drawn pictures of 4 shapes, see docs/own-images.md.
CPU_BACKBONE, CPU_SIZE, CPU_STEPS = "test_resnet", 32, 400
GPU_BACKBONE, GPU_SIZE, GPU_STEPS = "resnet18", 96, 10_000
#: Peak learning rate of each optimiser at 256 pictures a batch or below it, see fit_recipe.
LEARNING_RATES: Mapping[Optimizer, float] = {"adamw": 3e-3, "sgd": 0.3, "lars": 0.3}
WEIGHT_DECAYS: Mapping[Optimizer, float] = {"adamw": 1e-2, "sgd": 1e-4, "lars": 1e-6}
MOST_BATCH, LEAST_STEPS_PER_EPOCH = 256, 4
LEAST_EPOCHS, MOST_EPOCHS = 20, 400
LEAST_SIZE, MOST_SIZE = 8, 1024


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All settings of a training.

    Attributes:
        method: One of df_heads.integrations.choices.METHODS.
        head: A name of df_heads.HEAD_PRESETS.
        backbone: timm's name.
        stem: "imagenet", or "small" for pictures of 32 pixels or so, see build_backbone.
        pretrained: Whether it starts from timm's weights.
        optimizer: "sgd", "lars" or "adamw".
        learning_rate: At its peak, for the whole batch.
        weight_decay: Of the weights, not of biases, norms and scales.
        epochs: Rounds through the pictures.
        batch_size: Pictures a step; what is left over in an epoch waits for the next.
        image_size: Side of the squares in pixels.
        resize: "crop" or "stretch".
        min_scale: Least area of a random crop.
        color_jitter: Strength of the random colours.
        workers: Processes that make batches; 0 for pictures in memory.
        precision: As in Lightning's Trainer.
        seed: Of the weights, the order and the views.
    """

    method: MethodName
    head: str
    backbone: str
    stem: Stem
    pretrained: bool
    optimizer: Optimizer
    learning_rate: float
    weight_decay: float
    epochs: int
    batch_size: int
    image_size: int
    resize: Resize
    min_scale: float
    color_jitter: float
    workers: int
    precision: Precision
    seed: int

    def __post_init__(self) -> None:
        for name, choices in (
            ("method", METHODS),
            ("stem", STEMS),
            ("optimizer", OPTIMIZERS),
            ("resize", RESIZES),
            ("precision", PRECISIONS),
        ):
            value = getattr(self, name)
            if value not in choices:
                raise InputError(f"{_flag(name)} {value} is not known; use {', '.join(choices)}.")
        for name, least, most in (
            ("epochs", 1, 10**6),
            ("batch_size", 2, 10**6),
            ("image_size", LEAST_SIZE, MOST_SIZE),
            ("workers", 0, 1024),
            ("seed", 0, 2**32 - 1),
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                raise InputError(
                    f"{_flag(name)} {value} must be a whole number from {least} to {most}."
                )
        if not 0 < self.learning_rate < 1e4:  # not "<=", which lets NaN pass
            raise InputError(f"--learning-rate {self.learning_rate} must be above 0 and finite.")

    def command(self, folder: Path, out: Path, *, skip_unreadable: bool = False) -> str:
        """A command line that repeats the training, every setting spelt out."""
        words = ["df-heads", "train", str(folder), "--out", str(out)]
        for name, value in dataclasses.asdict(self).items():
            if isinstance(value, bool):
                words += [_flag(name)] if value else []
            else:
                words += [_flag(name), f"{value:g}" if isinstance(value, float) else str(value)]
        return shlex.join(words + ["--skip-unreadable"] * skip_unreadable)


def fit_image_size() -> int:
    """The side of the squares that this machine trains on in minutes."""
    return GPU_SIZE if torch.cuda.is_available() else CPU_SIZE


def fit_recipe(pictures: int, **given: Any) -> Recipe:
    """Fill in what is not given.

    Args:
        pictures: How many there are to train on.
        given: Settings of Recipe; None means to be fitted.

    Raises:
        InputError: If a given one is not possible, or the batch is larger than the pictures.
    """
    has_gpu = torch.cuda.is_available()
    optimizer: Optimizer = given.get("optimizer") or "adamw"
    if optimizer not in OPTIMIZERS:
        raise InputError(f"--optimizer {optimizer} is not known; use {', '.join(OPTIMIZERS)}.")
    batch_size = given.get("batch_size") or _fit_batch(pictures)
    if batch_size > pictures:
        raise InputError(
            f"--batch-size {batch_size} is more than the {pictures} pictures to train on, so no "
            f"batch would be full; use {pictures} or less, such as {_fit_batch(pictures)}."
        )
    steps = max(1, pictures // batch_size)
    budget = GPU_STEPS if has_gpu else CPU_STEPS
    fitted: dict[str, Any] = {
        "method": "simclr",
        "head": DEFAULT_HEAD,
        "backbone": GPU_BACKBONE if has_gpu else CPU_BACKBONE,
        "stem": "imagenet",
        "pretrained": False,
        "optimizer": optimizer,
        "learning_rate": LEARNING_RATES[optimizer],
        "weight_decay": WEIGHT_DECAYS[optimizer],
        "epochs": min(MOST_EPOCHS, max(LEAST_EPOCHS, round(budget / steps))),
        "batch_size": batch_size,
        "image_size": fit_image_size(),
        "resize": "crop",
        "min_scale": 0.5,
        "color_jitter": 1.0,
        "workers": 0,
        "precision": "bf16-mixed" if has_gpu and torch.cuda.is_bf16_supported() else "32-true",
        "seed": 0,
    }
    return Recipe(**{**fitted, **{k: v for k, v in given.items() if v is not None}})


def _fit_batch(pictures: int) -> int:
    """A power of two, with several steps in an epoch, of at least 2."""
    batch = MOST_BATCH
    while batch > 2 and batch * LEAST_STEPS_PER_EPOCH > pictures:
        batch //= 2
    return batch


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
