"""The part of a data set that an experiment uses."""

from dataclasses import replace

import torch

from df_heads.benchmarks.harness.errors import InputError
from df_heads.benchmarks.harness.experiment import Experiment
from df_heads.benchmarks.harness.images import ImageData
from df_heads.evaluation import stratified_subset

# Another draw than that of train_images and of the probes, which start from the run's seed.
_HOLDOUT_SEED = 10_000


def images_of(experiment: Experiment, data: ImageData) -> ImageData:
    """The images that an experiment trains on and is evaluated on.

    Raises:
        InputError: If it asks for more than there are.
    """
    if experiment.holdout:
        data = _hold_out(data, experiment.holdout)
    if experiment.train_images is not None:
        data = _first_images(data, experiment.train_images)
    return data


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
    """The data set with `count` training images, equally many of each class."""
    if count > len(data.train_labels):
        raise InputError(
            f"--train-images {count} is more than the {len(data.train_labels)} of {data.name}."
        )
    fraction = count / len(data.train_labels)
    rows = stratified_subset(torch.from_numpy(data.train_labels), fraction, 0).numpy()
    return replace(data, train_images=data.train_images[rows], train_labels=data.train_labels[rows])
