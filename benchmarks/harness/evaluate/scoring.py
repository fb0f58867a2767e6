"""The metrics of a frozen backbone."""

import torch
from torch import nn

from df_heads.augment import SimCLRAugment
from df_heads.benchmarks.harness.data.images import ImageData
from df_heads.benchmarks.harness.evaluate.standard import KNN_NEIGHBORS, PROBE_FRACTION
from df_heads.evaluation import (
    extract_features,
    knn_accuracy,
    linear_probe_accuracy,
    nearest_neighbor_accuracy,
)
from df_heads.integrations.training.augmented_images import evaluation_batches


def evaluate(
    backbone: nn.Module, data: ImageData, augment: SimCLRAugment, seed: int, device: torch.device
) -> dict[str, float]:
    """The paper's two metrics and cosine k-NN of frozen backbone features, in percent.

    "unsupervised" and "supervised" are the paper's; the probe draws its 10 % of the training set
    by `seed`. "knn10_cosine" votes among the 10 nearest training images.
    """
    backbone = backbone.to(device)
    train, test = (
        extract_features(backbone, evaluation_batches(images, augment), device=device)
        for images in (data.train_images, data.test_images)
    )
    train_labels = torch.from_numpy(data.train_labels)
    test_labels = torch.from_numpy(data.test_labels)
    return {
        "unsupervised": 100 * nearest_neighbor_accuracy(test, test_labels),
        "supervised": 100
        * linear_probe_accuracy(
            train, train_labels, test, test_labels, train_fraction=PROBE_FRACTION, seed=seed
        ),
        "knn10_cosine": 100
        * knn_accuracy(
            train, train_labels, test, test_labels, k=min(KNN_NEIGHBORS, len(train_labels))
        ),
    }
