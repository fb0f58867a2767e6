"""Evaluating frozen backbone features: nearest neighbours, k-NN and probes.

``nearest_neighbor_accuracy`` and ``linear_probe_accuracy`` are the paper's two metrics
(arXiv 2403.18681, "Metrics"), ``mlp_probe_accuracy`` is the deeper classifier of its Table 6, and
``knn_accuracy`` is what other work reports; ``nearest_neighbors`` names the neighbours themselves.
Every accuracy is a fraction in [0, 1]. All but the
deeper classifier compute in float64, so that the result depends neither on the device nor on its
TF32 setting; features on ``mps``, which has no float64, go to the CPU.
"""

import math
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from df_heads._finite import check_number
from df_heads._labelled import (
    check_at_least_one,
    check_features,
    check_labelled,
    check_same_width,
)
from df_heads._probe_samples import stratified_subset
from df_heads.linear_probe import (
    fit_softmax_regression,
    linear_probe_accuracies,
    linear_probe_accuracy,
)
from df_heads.mlp_probe import mlp_probe_accuracy

__all__ = [
    "Neighbors",
    "extract_features",
    "fit_softmax_regression",
    "knn_accuracy",
    "linear_probe_accuracies",
    "linear_probe_accuracy",
    "mlp_probe_accuracy",
    "nearest_neighbor_accuracy",
    "nearest_neighbors",
    "stratified_subset",
]

# How many of the nearest by x.y are compared again by direct differences. float64 products
# misorder near-ties only, so the true neighbour is among the first few.
_CANDIDATES = 4


@torch.no_grad()
def extract_features(
    backbone: nn.Module,
    batches: Iterable[Tensor | Sequence[object]],
    *,
    device: torch.device | str | None = None,
) -> Tensor:
    """Run a backbone over all batches and return its features, changing nothing in it.

    The backbone runs in eval mode (no running statistic moves, no dropout) without gradients.
    Each submodule's own training flag is put back afterwards, also after an error. Autocast, if
    wanted, is the caller's: ``with torch.autocast(...): extract_features(...)``.

    Args:
        backbone: Maps images to ``(N, D)`` or ``(N, D, 1, 1)``.
        batches: Image tensors, or tuples or lists whose first item is one, such as a DataLoader
            gives; it must not shuffle if labels are to be matched by position.
        device: Where the features are collected; by default they stay where the backbone is.
            ``"cpu"`` saves device memory (50,000 x 2048 in float32 take 0.4 GB). Images are
            always sent to the device of the backbone's first parameter or buffer.

    Returns:
        Features ``(total N, D)`` in order, in the backbone's output dtype, without gradients.

    Raises:
        TypeError: A batch or the backbone's output is not a tensor.
        ValueError: No batch at all, or an output that is not one vector per image.
    """
    state = next(chain(backbone.parameters(), backbone.buffers()), None)
    # Flags are set directly: train() may be overridden, and would flatten mixed flags.
    flags = [(module, module.training) for module in backbone.modules()]
    collected: list[Tensor] = []
    try:
        backbone.eval()
        for batch in batches:
            images = batch[0] if isinstance(batch, (tuple, list)) and batch else batch
            if not isinstance(images, Tensor):
                raise TypeError(
                    "each batch must be an image tensor or a tuple or list that starts with one, "
                    f"got {type(images).__name__}; pick the images out before passing them."
                )
            if state is not None:
                images = images.to(state.device, non_blocking=True)
            output = backbone(images)
            if not isinstance(output, Tensor):
                raise TypeError(
                    f"the backbone returned {type(output).__name__}, not a tensor; wrap it so "
                    "that it returns its features alone."
                )
            if output.ndim < 2 or math.prod(output.shape[2:]) != 1:
                raise ValueError(
                    f"the backbone returned shape {tuple(output.shape)}, not (N, D) or "
                    "(N, D, 1, 1); pool its output to one vector per image."
                )
            collected.append(output.flatten(1).to(device or output.device))
    finally:
        for module, flag in flags:
            module.training = flag
    if not collected:
        raise ValueError("batches gave 0 batches but at least 1 is needed; pass a fresh iterable.")
    return torch.cat(collected)


@torch.no_grad()
def nearest_neighbor_accuracy(features: Tensor, labels: Tensor, *, chunk_size: int = 512) -> float:
    """Share of samples whose nearest neighbour in the same set has the same label.

    The paper's "Unsupervised Test Accuracy" (arXiv 2403.18681, "Metrics"), with the features of
    the test set: Euclidean distance, each sample itself excluded by its index, so that an equal
    copy of it does count. Exact, also under a common offset: features are centred, and the
    closest few are compared again by direct differences. Among exact ties the lowest index
    wins (more than four tied at once are resolved arbitrarily).

    Args:
        features: ``(N, D)``, N >= 2, any float dtype and device.
        labels: ``(N,)``, integers.
        chunk_size: Samples compared with the set at once; memory beside the float64 copies of
            the features is ``8 * chunk_size * N`` bytes (0.2 GB at N = 50,000). It does not
            change the result.

    Returns:
        Accuracy in [0, 1].

    Raises:
        TypeError: An argument is not a tensor.
        ValueError: Shapes, dtypes or lengths do not fit, fewer than two samples, values that
            are not finite, or ``chunk_size`` below 1.
    """
    features, labels = check_labelled(features, labels)
    check_at_least_one(chunk_size, "chunk_size")
    total = len(features)
    points = features.double()
    # |x - y|^2 = |x|^2 + |y|^2 - 2 x.y loses to cancellation what |x| has over |x - y|.
    points = points - points.mean(0)
    half_square = points.square().sum(1) / 2
    correct = 0
    for start in range(0, total, chunk_size):
        queries = points[start : start + chunk_size]
        rows = torch.arange(len(queries), device=points.device)
        # Half the squared distance, up to a constant per row.
        distances = torch.addmm(half_square, queries, points.T, alpha=-1)
        distances[rows, rows + start] = math.inf
        nearest = distances.topk(min(_CANDIDATES, total - 1), dim=1, largest=False).indices
        # Ascending indices, as argmin returns the first of equal minima.
        nearest = nearest.sort(dim=1).values
        direct = torch.stack(
            [(queries - points[column]).square().sum(1) for column in nearest.unbind(1)], dim=1
        )
        winner = nearest[rows, direct.argmin(1)]
        correct += int((labels[winner] == labels[start : start + chunk_size]).sum())
    return correct / total


class Neighbors(NamedTuple):
    """The nearest samples of each sample, the nearest first.

    Attributes:
        indices: (N, k), int64.
        similarities: Their cosine similarities, (N, k), float64.
    """

    indices: Tensor
    similarities: Tensor


@torch.no_grad()
def nearest_neighbors(features: Tensor, k: int = 5, *, chunk_size: int = 512) -> Neighbors:
    """The k samples of a set that are nearest to each, by cosine similarity.

    >>> nearest_neighbors(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.1]]), k=1).indices
    tensor([[2],
            [2],
            [0]])

    Cosine, as in ``knn_accuracy``; ``nearest_neighbor_accuracy`` is the paper's and Euclidean.
    Each sample itself is excluded by its index, so that an equal copy of it is its neighbour.

    Args:
        features: ``(N, D)``, N >= 2, any float dtype and device.
        k: How many, at most N - 1.
        chunk_size: Samples compared with the set at once; memory beside the float64 copy of the
            features is ``8 * chunk_size * N`` bytes. It does not change the result.

    Returns:
        Indices and similarities, on the device of the features. The order among equal
        similarities is arbitrary; an all-zero feature vector has similarity 0 to every other.

    Raises:
        TypeError: features is not a tensor.
        ValueError: Its shape or dtype does not fit, values are not finite, or ``k`` is below 1 or
            exceeds the other samples.
    """
    features = check_features(features)
    check_at_least_one(k, "k")
    check_at_least_one(chunk_size, "chunk_size")
    if k >= len(features):
        raise ValueError(
            f"k={k} neighbours were asked for but each of the {len(features)} samples has only "
            f"{len(features) - 1} others; lower k or pass more samples."
        )
    bank = F.normalize(features.double(), dim=1)
    parts = []
    for start in range(0, len(bank), chunk_size):
        similarity = bank[start : start + chunk_size] @ bank.T
        rows = torch.arange(len(similarity), device=bank.device)
        similarity[rows, rows + start] = -math.inf
        parts.append(similarity.topk(k, dim=1))
    return Neighbors(
        torch.cat([part.indices for part in parts]), torch.cat([part.values for part in parts])
    )


@torch.no_grad()
def knn_accuracy(
    train_features: Tensor,
    train_labels: Tensor,
    test_features: Tensor,
    test_labels: Tensor,
    *,
    k: int = 10,
    temperature: float | None = None,
    chunk_size: int = 512,
) -> float:
    """Top-1 accuracy of the k nearest training samples by cosine similarity.

    The default, k = 10 with a plain majority vote, is the 10-NN that dkobak reports. lightly's
    benchmarks use ``k=200, temperature=0.1``, the vote weighted by ``exp(similarity /
    temperature)`` of Wu et al. 2018 (arXiv 1805.01978), who took 200 and 0.07.

    Args:
        train_features: ``(N, D)``, any float dtype and device.
        train_labels: ``(N,)``, integers.
        test_features: ``(M, D)``, moved to the device of ``train_features``.
        test_labels: ``(M,)``, integers; a class not in ``train_labels`` counts as an error.
        k: Neighbours that vote, at most N.
        temperature: None for a majority vote, else the temperature of the weights. Either way
            a tied vote goes to the lowest label, as in scikit-learn.
        chunk_size: Test samples compared with the training set at once; memory beside the
            float64 copies of the features is ``8 * chunk_size * N`` bytes. It does not change
            the result.

    Returns:
        Accuracy in [0, 1]. An all-zero feature vector has similarity 0 to every other.

    Raises:
        TypeError: An argument is not a tensor.
        ValueError: Shapes, dtypes or lengths do not fit, values are not finite, ``k`` exceeds
            the training samples, or a setting is out of range.
    """
    train_features, train_labels = check_labelled(
        train_features, train_labels, name="train", at_least=1
    )
    test_features, test_labels = check_labelled(test_features, test_labels, name="test", at_least=1)
    check_same_width(train_features, test_features)
    check_at_least_one(k, "k")
    check_at_least_one(chunk_size, "chunk_size")
    if k > len(train_features):
        raise ValueError(
            f"k={k} neighbours were asked for but train_features has only {len(train_features)} "
            "samples; lower k or pass more training samples."
        )
    if temperature is not None:
        check_number(temperature=temperature)
    if temperature is not None and not (math.isfinite(temperature) and temperature > 0):
        raise ValueError(
            f"temperature must be finite and above 0, got {temperature!r}; pass for instance "
            "0.1, or None for a majority vote."
        )
    classes, class_index = torch.unique(train_labels, return_inverse=True)
    bank = F.normalize(train_features.double(), dim=1)
    correct = 0
    for start in range(0, len(test_labels), chunk_size):
        part = slice(start, start + chunk_size)
        queries = F.normalize(test_features[part].to(bank.device).double(), dim=1)
        similarity, neighbors = (queries @ bank.T).topk(k, dim=1)
        if temperature is None:
            weights = torch.ones_like(similarity)
        else:
            # Relative to the nearest, which leaves the order alone and cannot overflow.
            weights = ((similarity - similarity[:, :1]) / temperature).exp()
        votes = weights.new_zeros(len(queries), len(classes))
        votes.scatter_add_(1, class_index[neighbors], weights)
        # argmax returns the first of equal maxima, and classes ascend.
        predicted = classes[votes.argmax(1)]
        correct += int((predicted == test_labels[part].to(bank.device)).sum())
    return correct / len(test_labels)
