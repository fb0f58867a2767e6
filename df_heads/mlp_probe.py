"""The probe with hidden layers: a small network on frozen features.

Import it from :mod:`df_heads.evaluation`, where the other metrics are.
"""

import itertools
import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from df_heads._labelled import check_at_least_one
from df_heads._probe_samples import ProbeSamples


def mlp_probe_accuracy(
    train_features: Tensor,
    train_labels: Tensor,
    test_features: Tensor,
    test_labels: Tensor,
    *,
    num_layers: int = 3,
    hidden_dim: int = 512,
    train_fraction: float = 0.1,
    seed: int = 0,
    epochs: int = 100,
    batch_size: int = 256,
    learning_rate: float = 1e-3,
    weight_decay: float = 1e-3,
) -> float:
    """Top-1 accuracy of a feed-forward classifier trained on frozen features.

    The classifier of three layers in the paper's Table 6 (arXiv 2403.18681, "Setups for Supervised
    Accuracy"), which says how many layers there are and nothing else about them. Here a layer is
    linear, with a ReLU after all but the last; AdamW minimises the cross-entropy under a cosine
    from ``learning_rate`` to 0. The samples are drawn and standardised as for
    :func:`linear_probe_accuracy`; the network runs in float32. One device gives one result for one
    seed; another device differs by rounding. The global random state is left alone.

    Args:
        train_features: ``(N, D)``, any float dtype and device.
        train_labels: ``(N,)``, integers, at least two classes.
        test_features: ``(M, D)``, moved to the device of ``train_features``.
        test_labels: ``(M,)``, integers; a class not in ``train_labels`` counts as an error.
        num_layers: Linear layers, hidden ones included (paper: 3; 1 is better served by
            :func:`linear_probe_accuracy`, which finds the minimum).
        hidden_dim: Width of the hidden layers. The default is the width of ResNet18's features; it
            does not follow ``D``, so that features of different widths meet the same classifier.
        train_fraction: Share of the training set to train on; 0.1 is the paper's.
        seed: Seeds the draw, the weights and the batches.
        epochs: Passes over the drawn samples.
        batch_size: Samples per step; the last batch of an epoch can be smaller.
        learning_rate: Peak learning rate of AdamW.
        weight_decay: Of AdamW, on the weight matrices only.

    Returns:
        Share of test samples classified correctly, in [0, 1].

    Raises:
        TypeError: An argument is not a tensor.
        ValueError: Shapes, dtypes or lengths do not fit, values are not finite, fewer than two
            training classes, or a setting out of range.
    """
    whole = {"num_layers": num_layers, "hidden_dim": hidden_dim, "epochs": epochs}
    for name, count in {**whole, "batch_size": batch_size}.items():
        check_at_least_one(count, name)
    if not (math.isfinite(learning_rate) and learning_rate > 0):
        raise ValueError(
            f"learning_rate must be finite and above 0, got {learning_rate!r}; pass for instance "
            "1e-3."
        )
    if not (math.isfinite(weight_decay) and weight_decay >= 0):
        raise ValueError(
            f"weight_decay must be finite and not below 0, got {weight_decay!r}; pass 0 for none."
        )
    samples = ProbeSamples.draw(
        train_features, train_labels, test_features, test_labels, train_fraction, seed
    )
    # Lightning evaluates in inference mode, whose tensors no gradient may pass: leave it, copy.
    with torch.inference_mode(False), torch.enable_grad():
        features, labels = samples.features.float().clone(), samples.labels.clone()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            widths = [features.shape[1], *[hidden_dim] * (num_layers - 1), len(samples.classes)]
            classifier = _classifier(widths).to(features.device)
        groups: list[dict[str, Any]] = [
            {"params": [p for p in classifier.parameters() if p.ndim > 1]},
            {"params": [p for p in classifier.parameters() if p.ndim == 1], "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=learning_rate, weight_decay=weight_decay)
        steps = epochs * math.ceil(len(labels) / batch_size)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
        order = torch.Generator().manual_seed(seed)
        for _ in range(epochs):
            shuffled = torch.randperm(len(labels), generator=order).to(labels.device)
            for start in range(0, len(labels), batch_size):
                rows = shuffled[start : start + batch_size]
                loss = F.cross_entropy(classifier(features[rows]), labels[rows])
                optimizer.zero_grad()
                torch.autograd.backward(loss)
                optimizer.step()
                schedule.step()
    with torch.no_grad():
        return samples.accuracy(
            lambda part: classifier(((part - samples.mean) * samples.scale).float())
        )


def _classifier(widths: list[int]) -> nn.Sequential:
    """Linear layers from each width to the next, a ReLU between two."""
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])
