"""Accuracies of a frozen backbone with few or wrong labels, and on other images."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from df_heads.benchmarks.harness.base.experiment import Experiment
from df_heads.benchmarks.harness.data.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from df_heads.benchmarks.harness.data.images import ImageData
from df_heads.benchmarks.harness.data.subsets import images_of
from df_heads.benchmarks.harness.evaluate.evaluation import FinishedRun
from df_heads.benchmarks.harness.evaluate.robustness import (
    CORRUPTED,
    INVERTED,
    LABEL_FRACTIONS,
    NOISE_RATES,
    TRANSFER,
    labels_metric,
    noise_metric,
)
from df_heads.benchmarks.harness.evaluate.standard import PROBE_FRACTION
from df_heads.benchmarks.harness.views.building import build_augment
from df_heads.evaluation import (
    extract_features,
    linear_probe_accuracies,
    linear_probe_accuracy,
    stratified_subset,
)
from df_heads.integrations.training.augmented_images import evaluation_batches


def accuracies_under_shift(
    run: FinishedRun, other: ImageData | None
) -> tuple[dict[str, float], dict[str, Any]]:
    """Evaluate a finished run where its labels or its images are worse.

    Args:
        run: What to evaluate.
        other: The data set to probe and score the same backbone on, with at most the run's number
            of training images; None for its own images inverted.

    Returns:
        Accuracies in percent: `labels_metric` and `noise_metric` of each share, `TRANSFER`,
        `CORRUPTED` (the mean over all corruptions and severities), "corrupted_SEVERITY" and
        "CORRUPTION_SEVERITY"; and the settings.

    Raises:
        InputError: If the checkpoint is missing or damaged.
    """
    experiment, data, device = run.experiment, run.data, run.machine.device
    backbone, augment = run.backbone("this evaluation").to(device), build_augment(experiment)

    def extract(images: npt.NDArray[np.uint8]) -> Tensor:
        return extract_features(backbone, evaluation_batches(images, augment), device=device)

    seed = experiment.seed
    target = _inverted(data) if other is None else _as_many(experiment, other)
    here, there = _Features.of(data, extract), _Features.of(target, extract)
    corrupted = (
        (extract(corrupt(data.test_images, *place)), here.test_labels) for place in _PLACES
    )
    metrics = {
        **_with_few_labels(here, seed),
        **_with_wrong_labels(here, len(data.classes), seed),
        TRANSFER: there.accuracy(PROBE_FRACTION, seed),
        **_on_corrupted(here, corrupted, seed),
    }
    settings = {
        "train_fraction": PROBE_FRACTION,
        "severities": SEVERITIES,
        "corruptions": {name: each.strengths for name, each in CORRUPTIONS.items()},
        "transfer": {
            "name": target.name,
            "fingerprint": target.fingerprint,
            "train": len(target.train_labels),
            "test": len(target.test_labels),
        },
    }
    return {name: 100 * value for name, value in metrics.items()}, settings


@dataclass(frozen=True, eq=False)
class _Features:
    """Features (N, D) and labels (N,) of a training set, (M, D) and (M,) of a test set."""

    train: Tensor
    train_labels: Tensor
    test: Tensor
    test_labels: Tensor

    @classmethod
    def of(cls, data: ImageData, extract: Callable[[npt.NDArray[np.uint8]], Tensor]) -> "_Features":
        return cls(
            extract(data.train_images),
            torch.from_numpy(data.train_labels),
            extract(data.test_images),
            torch.from_numpy(data.test_labels),
        )

    def accuracy(self, fraction: float, seed: int) -> float:
        return linear_probe_accuracy(
            self.train,
            self.train_labels,
            self.test,
            self.test_labels,
            train_fraction=fraction,
            seed=seed,
        )


def _with_few_labels(here: _Features, seed: int) -> dict[str, float]:
    return {labels_metric(share): here.accuracy(share, seed) for share in LABEL_FRACTIONS}


def _with_wrong_labels(here: _Features, classes: int, seed: int) -> dict[str, float]:
    """The samples that the probe draws anyway, some of their labels wrong; the test set's right."""
    drawn = stratified_subset(here.train_labels, PROBE_FRACTION, seed)
    clean = replace(
        here,
        train=here.train[drawn.to(here.train.device)],
        train_labels=here.train_labels[drawn],
    )
    return {
        noise_metric(rate): replace(
            clean, train_labels=with_wrong_labels(clean.train_labels, rate, classes, seed)
        ).accuracy(1.0, seed)
        for rate in NOISE_RATES
    }


_PLACES = [(name, severity) for name in CORRUPTIONS for severity in SEVERITIES]


def _on_corrupted(
    here: _Features, test_sets: Iterable[tuple[Tensor, Tensor]], seed: int
) -> dict[str, float]:
    """The probe of clean training images on each of `_PLACES`, and means over them."""
    accuracies = linear_probe_accuracies(
        here.train, here.train_labels, test_sets, train_fraction=PROBE_FRACTION, seed=seed
    )
    by_place = dict(zip(_PLACES, accuracies, strict=True))
    means = {
        f"{CORRUPTED}_{severity}": fmean(by_place[name, severity] for name in CORRUPTIONS)
        for severity in SEVERITIES
    }
    each = {f"{name}_{severity}": value for (name, severity), value in by_place.items()}
    return {CORRUPTED: fmean(accuracies), **means, **each}


def _inverted(data: ImageData) -> ImageData:
    return replace(
        data,
        name=INVERTED,
        train_images=255 - data.train_images,
        test_images=255 - data.test_images,
    )


def _as_many(experiment: Experiment, other: ImageData) -> ImageData:
    """The other data set with no more training images than the run had."""
    wanted = experiment.train_images
    if wanted is None or wanted >= len(other.train_labels):
        return other
    return images_of(replace(experiment, holdout=0.0), other)


def with_wrong_labels(labels: Tensor, rate: float, classes: int, seed: int) -> Tensor:
    """Labels of which a share is replaced, each by another class, all others equally likely.

    Symmetric label noise. Exactly round(rate * N) labels are wrong, halves going up; with one seed
    those of a lower rate are wrong in the same way at a higher one.

    Args:
        labels: Classes 0 to `classes` - 1, (N,).
        rate: Share of wrong labels, from 0 to 1.
        classes: Number of classes, at least 2.
        seed: Seed of the draw; the global generator is left alone.

    Returns:
        Labels (N,) on the CPU.

    Raises:
        ValueError: If the rate or the number of classes is out of range.
    """
    if not 0 <= rate <= 1:
        raise ValueError(f"rate={rate} must be from 0 to 1, such as 0.2.")
    if classes < 2:
        raise ValueError(f"classes={classes} leaves no other class; it must be at least 2.")
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(labels), generator=generator)
    shift = torch.randint(1, classes, (len(labels),), generator=generator)
    wrong = order[: int(rate * len(labels) + 0.5)]
    noisy = labels.cpu().clone()
    noisy[wrong] = (noisy[wrong] + shift[wrong]) % classes
    return noisy
