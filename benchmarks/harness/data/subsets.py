"""The part of a data set that an experiment uses."""

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.base.experiment import Experiment
from df_heads.benchmarks.harness.data.images import ImageData
from df_heads.evaluation import stratified_subset

# Another draw than that of train_images and of the probes, which start from the run's seed.
_HOLDOUT_SEED = 10_000
_IMBALANCE_SEED = 20_000


def images_of(experiment: Experiment, data: ImageData) -> ImageData:
    """The labelled images that an experiment's backbone is evaluated with.

    The network is trained on these training images too, unless they are to be imbalanced.

    Raises:
        InputError: If it asks for more than there are, or a class has no images in a split.
    """
    _check_classes(data)
    if experiment.classes is not None:
        data = _first_classes(data, experiment.classes)
    if experiment.holdout:
        data = _hold_out(data, experiment.holdout)
    if experiment.train_images is not None:
        data = _first_images(data, experiment.train_images)
    return data


def _check_classes(data: ImageData) -> None:
    """Refuse classes without images: with fewer to tell apart, accuracies are too high."""
    if len(data.classes) < 2:
        raise InputError(
            f"{data.name} has the one class {data.classes[0]}: every accuracy would be 100 %; add "
            "another class."
        )
    for split, labels in (("training", data.train_labels), ("test", data.test_labels)):
        counts = np.bincount(labels, minlength=len(data.classes))
        if not counts.all():
            name = data.classes[int(counts.argmin())]
            raise InputError(
                f"{data.name} has no {split} image of class {name}; add some, or remove that class "
                "from both splits."
            )


def pretraining_images(experiment: Experiment, data: ImageData) -> ImageData:
    """The images that an experiment's network is trained on, without labels.

    With an imbalance of R they are long-tailed: class c of C keeps floor(n R^(-c / (C - 1)))
    images, as in the long-tailed CIFARs (Cao et al. 2019, arXiv 1906.07413), n being those of the
    smallest class before. Every seed and every head gets the same ones, and a higher ratio a part
    of those of a lower one. The probes still see all of `data`, as is usual for long-tailed
    pretraining: their accuracy tells of the features, not of rare labels.

    Args:
        experiment: Says how imbalanced.
        data: What `images_of` gives.

    Raises:
        InputError: If a class would have no image left.
    """
    if experiment.imbalance == 1:
        return data
    fewest = int(np.bincount(data.train_labels, minlength=len(data.classes)).min())
    counts = imbalanced_counts(fewest, len(data.classes), experiment.imbalance)
    if 0 in counts:
        raise InputError(
            f"--imbalance {experiment.imbalance:g} leaves no image of class "
            f"{data.classes[counts.index(0)]} of {data.name}; its smallest class has {fewest} to "
            "start from, so use no more than that."
        )
    order = np.random.default_rng(_IMBALANCE_SEED).permutation(len(data.train_labels))
    kept = [order[data.train_labels[order] == label][:n] for label, n in enumerate(counts)]
    rows = np.sort(np.concatenate(kept))
    return replace(data, train_images=data.train_images[rows], train_labels=data.train_labels[rows])


def imbalanced_counts(largest: int, classes: int, ratio: float) -> list[int]:
    """Images of each class, falling exponentially from `largest` to `largest / ratio`."""
    steps = max(1, classes - 1)
    # A whole number that rounding put a hair below itself must not lose an image.
    return [math.floor(largest * ratio ** (-label / steps) + 1e-6) for label in range(classes)]


def _first_classes(data: ImageData, count: int) -> ImageData:
    """The data set with its first `count` classes, in both splits."""
    if count > len(data.classes):
        raise InputError(
            f"--classes {count} is more than the {len(data.classes)} of {data.name}; use fewer."
        )
    train, test = data.train_labels < count, data.test_labels < count
    return replace(
        data,
        train_images=data.train_images[train],
        train_labels=data.train_labels[train],
        test_images=data.test_images[test],
        test_labels=data.test_labels[test],
        classes=data.classes[:count],
    )


def _hold_out(data: ImageData, fraction: float) -> ImageData:
    """The data set with that share of each training class in the place of its test set.

    Every seed and every head gets the same share, so that they are compared on the same images.
    """
    if not 0 < fraction < 1:
        raise InputError(f"holdout={fraction} must be above 0 and below 1, such as 0.1.")
    labels = torch.from_numpy(data.train_labels)
    held = torch.zeros(len(labels), dtype=torch.bool)
    held[stratified_subset(labels, fraction, _HOLDOUT_SEED)] = True
    rest, out = (~held).numpy(), held.numpy()
    if not rest.any() or out.sum() < 2:
        raise InputError(
            f"holdout={fraction} leaves {rest.sum()} training and {out.sum()} held-out images of "
            f"{data.name}; choose a share with at least 1 and 2."
        )
    return replace(
        data,
        train_images=data.train_images[rest],
        train_labels=data.train_labels[rest],
        test_images=data.train_images[out],
        test_labels=data.train_labels[out],
    )


def _first_images(data: ImageData, count: int) -> ImageData:
    """The data set with `count` training images, the same part of each class."""
    if count > len(data.train_labels):
        raise InputError(
            f"--train-images {count} is more than the {len(data.train_labels)} of {data.name}."
        )
    each = _shares(np.bincount(data.train_labels, minlength=len(data.classes)), count)
    if 0 in each:
        raise InputError(
            f"--train-images {count} leaves no image of class {data.classes[each.index(0)]} of "
            f"{data.name}; use at least {len(data.classes)}, or more if classes differ in size."
        )
    draw = torch.Generator().manual_seed(0)
    order = torch.randperm(len(data.train_labels), generator=draw).numpy()
    drawn = [order[data.train_labels[order] == label][:n] for label, n in enumerate(each)]
    rows = np.sort(np.concatenate(drawn))
    return replace(data, train_images=data.train_images[rows], train_labels=data.train_labels[rows])


def _shares(sizes: npt.NDArray[np.int64], count: int) -> list[int]:
    """`count` divided among classes in proportion to their sizes, by largest remainders."""
    exact = sizes * (count / sizes.sum())
    shares = np.floor(exact).astype(int)
    rest = np.argsort(shares - exact, kind="stable")[: count - shares.sum()]
    shares[rest] += 1
    return [int(share) for share in shares]
