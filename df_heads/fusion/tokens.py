"""Measures of Deep Fusion on token embeddings (N, D): do they lie in classes?

Both take every class to have at least two samples, since a class of one has no inside.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from df_heads._labelled import check_labelled
from df_heads.evaluation import nearest_neighbor_accuracy
from df_heads.fusion._classes import class_index


@torch.no_grad()
def silhouette(tokens: Tensor, labels: Tensor) -> float:
    """Mean silhouette (Rousseeuw 1987) by Euclidean distance: 1 well apart, 0 mixed, below 0 wrong.

    Equals ``sklearn.metrics.silhouette_score`` (which counts a class of one as 0 where this
    raises), computed in float64; memory is ``8 * N * N`` bytes.

    Args:
        tokens: (N, D), any float dtype and device.
        labels: (N,), integers.

    Raises:
        TypeError: If an argument is not a tensor.
        ValueError: If shapes, dtypes or lengths do not fit, values are not finite, there are
            fewer than two classes, or a class has one sample.
    """
    points, index = _check_tokens(tokens, labels)
    points = points.double()
    one_hot = F.one_hot(index).double()
    distances = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")
    to_class = distances @ one_hot
    counts = one_hot.sum(0)
    rows = torch.arange(len(index), device=index.device)
    inside = to_class[rows, index] / (counts[index] - 1)
    to_class[rows, index] = torch.inf
    outside = (to_class / counts).min(1).values
    score = (outside - inside) / torch.maximum(outside, inside)
    # 0 / 0 where all samples of two classes coincide.
    return float(score.nan_to_num(0.0).mean())


def neighbor_purity(tokens: Tensor, labels: Tensor) -> float:
    """Share of tokens whose nearest other token (Euclidean) is of their class.

    ``nearest_neighbor_accuracy`` within one batch. Its chance level is the mean over tokens of
    (size of their class - 1) / (N - 1).

    Args:
        tokens: (N, D), any float dtype and device.
        labels: (N,), integers.

    Raises:
        TypeError: If an argument is not a tensor.
        ValueError: As silhouette.
    """
    return nearest_neighbor_accuracy(*_check_tokens(tokens, labels))


def _check_tokens(tokens: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    tokens, labels = check_labelled(tokens, labels, name="token")
    return tokens, class_index(labels, tokens, name="tokens", at_least=2)
