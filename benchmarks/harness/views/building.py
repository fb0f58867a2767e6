"""What draws the views of an experiment: our augmentation, kornia's or lightly's."""

from typing import Any

from lightly.transforms.simclr_transform import SimCLRTransform

from df_heads.augment import SimCLRAugment
from df_heads.benchmarks.harness.base.experiment import Experiment
from df_heads.benchmarks.harness.data.images import ImageData
from df_heads.benchmarks.harness.data.sources import DATASETS
from df_heads.benchmarks.harness.views.kornia_augment import KorniaAugment
from df_heads.benchmarks.harness.views.lightly_views import LightlyViews
from df_heads.integrations.compiled.indexed_images import IndexedImages
from df_heads.integrations.training.augmented_images import AugmentedImages
from df_heads.integrations.training.batches import TrainingBatches

#: Names of Experiment.augment.
AUGMENTS = ("ours", "kornia", "lightly")


def view_settings(experiment: Experiment) -> dict[str, Any]:
    """The settings of an experiment's views, by the argument names of lightly's SimCLRTransform."""
    return {
        "min_scale": experiment.min_scale,
        "hf_prob": 0.5 if DATASETS.find(experiment.dataset).horizontal_flip else 0.0,
        "rr_prob": 0.5 if experiment.rotation else 0.0,
        "rr_degrees": experiment.rotation,
        "cj_strength": experiment.color_jitter,
        "gaussian_blur": experiment.gaussian_blur,
    }


def build_augment(experiment: Experiment) -> SimCLRAugment:
    """Our augmentation with the settings of an experiment; it also normalises for evaluation."""
    return SimCLRAugment(experiment.image_size, **view_settings(experiment))


def build_batches(experiment: Experiment, data: ImageData, workers: int = 0) -> TrainingBatches:
    """The training batches of an experiment, for each of its devices.

    Raises:
        InputError: If kornia is asked for and not installed.
    """
    size, settings = experiment.image_size, view_settings(experiment)
    options: dict[str, Any] = {
        "batch_size": experiment.batch_size // experiment.devices,
        "workers": workers,
        "seed": experiment.seed,
    }
    images = data.train_images, data.train_labels
    if experiment.compiled:
        return IndexedImages(data.train_images, build_augment(experiment), **options)
    if experiment.augment == "lightly":
        return LightlyViews(*images, SimCLRTransform(input_size=size, **settings), **options)
    if experiment.augment == "kornia":
        return AugmentedImages(*images, KorniaAugment(size, **settings), **options)
    return AugmentedImages(*images, build_augment(experiment), **options)
