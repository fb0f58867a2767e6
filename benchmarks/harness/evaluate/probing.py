"""Classifiers on features before and behind the projection head."""

from typing import Any

import torch
from torch import Tensor, nn

from df_heads.benchmarks.harness.base.experiment import Experiment
from df_heads.benchmarks.harness.data.images import ImageData
from df_heads.benchmarks.harness.evaluate.evaluation import FinishedRun
from df_heads.benchmarks.harness.evaluate.probes import DEPTHS, HIDDEN_DIM, probe_name
from df_heads.benchmarks.harness.evaluate.standard import PROBE_FRACTION
from df_heads.benchmarks.harness.views.building import build_augment
from df_heads.evaluation import extract_features, linear_probe_accuracy, mlp_probe_accuracy
from df_heads.integrations.training.augmented_images import evaluation_batches

_BATCH_SEED = 0


def probe_accuracies(run: FinishedRun) -> tuple[dict[str, float], dict[str, Any]]:
    """Train every classifier on every kind of features of a finished run.

    Returns:
        Accuracies in percent by `probe_name`, and the settings.

    Raises:
        InputError: If the checkpoint is missing or damaged.
    """
    experiment, data, device = run.experiment, run.data, run.machine.device
    model, augment = run.model("Table 6"), build_augment(experiment)
    batch_size = samples_per_sequence(experiment)
    backbone, head = model.backbone.to(device), model.projection_head.to(device)
    train, test = (
        extract_features(backbone, evaluation_batches(images, augment), device=device)
        for images in (data.train_images, data.test_images)
    )
    sets = {
        "backbone": (train, test),
        "projection": (
            project_in_batches(head, train, batch_size),
            project_in_batches(head, test, batch_size),
        ),
    }
    metrics = {
        probe_name(location, depth): 100 * _accuracy(train, test, data, depth, experiment.seed)
        for location, (train, test) in sets.items()
        for depth in DEPTHS
    }
    return metrics, {
        "train_fraction": PROBE_FRACTION,
        "hidden_dim": HIDDEN_DIM,
        "samples_per_sequence": batch_size,
    }


def samples_per_sequence(experiment: Experiment) -> int:
    """How many samples the head saw at once in training, on each device."""
    per_device = experiment.batch_size // experiment.devices
    return 2 * per_device if experiment.views == "joint" else per_device


@torch.no_grad()
def project_in_batches(head: nn.Module, features: Tensor, batch_size: int) -> Tensor:
    """Features behind the projection head, which for a head that mixes samples depend on the batch.

    The batches are fixed and as large as in training: a permutation that depends on nothing but
    the number of samples mixes the classes, and the last batch is filled up with the first
    samples, whose second outputs are dropped. A set smaller than one batch is one batch.

    Args:
        head: From (B, D) to (B, d); runs in eval mode, its training flag is put back.
        features: Backbone features, (N, D).
        batch_size: Samples in one batch.

    Returns:
        Shape (N, d), in the order of `features`.
    """
    total = len(features)
    size = min(batch_size, total)
    order = torch.randperm(total, generator=torch.Generator().manual_seed(_BATCH_SEED))
    filled = torch.cat([order, order[: -total % size]]).to(features.device)
    training = head.training
    head.eval()
    try:
        projected = torch.cat([head(features[rows]) for rows in filled.view(-1, size)])[:total]
    finally:
        head.train(training)
    return torch.empty_like(projected).index_copy_(0, filled[:total], projected)


def _accuracy(train: Tensor, test: Tensor, data: ImageData, depth: int, seed: int) -> float:
    labels = torch.from_numpy(data.train_labels), torch.from_numpy(data.test_labels)
    sets = (train, labels[0], test, labels[1])
    if depth == 1:
        return linear_probe_accuracy(*sets, train_fraction=PROBE_FRACTION, seed=seed)
    return mlp_probe_accuracy(
        *sets, num_layers=depth, hidden_dim=HIDDEN_DIM, train_fraction=PROBE_FRACTION, seed=seed
    )
