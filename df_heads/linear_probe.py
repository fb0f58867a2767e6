"""The linear probe: softmax regression on frozen features, fitted to convergence.

Import it from :mod:`df_heads.evaluation`, where the other metrics are.
"""

import math
import warnings
from collections.abc import Iterable
from itertools import chain

import torch
from torch import Tensor
from torch.nn import functional as F

from df_heads._labelled import check_at_least_one
from df_heads._probe_samples import ProbeSamples

# 100 times below scikit-learn's default. Much lower, and the loss differences that the line
# search compares drown in float64's rounding.
_GRADIENT_TOLERANCE = 1e-6


def fit_softmax_regression(
    features: Tensor, labels: Tensor, *, l2: float, max_iterations: int = 1000
) -> tuple[Tensor, Tensor]:
    """Minimise mean cross-entropy + ``l2 / 2 * ||weight||^2`` by full-batch L-BFGS from zero.

    The bias is not penalised. With three or more classes this is the objective of scikit-learn's
    ``LogisticRegression(C=1 / (N * l2))``; with two, where scikit-learn fits one weight vector in
    place of two, that of ``C=2 / (N * l2)``.

    Args:
        features: ``(N, D)``, used without standardising, in float64 (which autocast leaves
            alone), so on a device that has it.
        labels: int64 ``(N,)`` with values 0 to K - 1, every one of them present.
        l2: Strength of the penalty, above 0, so that the minimum exists and is unique.
        max_iterations: Bound on L-BFGS iterations; 30 to 150 are usual.

    Returns:
        ``weight`` ``(K, D)`` and ``bias`` ``(K,)``, float64, on the features' device.

    Warns:
        RuntimeWarning: ``max_iterations`` ended before the gradient vanished.
    """
    # Lightning evaluates in inference mode, whose tensors no gradient may pass: leave it, copy.
    with torch.inference_mode(False), torch.enable_grad():
        features = features.detach().to(torch.float64, copy=True)
        labels = labels.clone()
        weight, bias, gradient, iterations = _minimise(features, labels, l2, max_iterations)
    if gradient > _GRADIENT_TOLERANCE and iterations >= max_iterations:
        warnings.warn(
            f"The linear probe stopped after max_iterations={max_iterations} with a gradient of "
            f"{gradient:.1e}, above {_GRADIENT_TOLERANCE:.0e}; raise max_iterations or l2.",
            RuntimeWarning,
            stacklevel=2,
        )
    return weight, bias


def _minimise(
    features: Tensor, labels: Tensor, l2: float, max_iterations: int
) -> tuple[Tensor, Tensor, float, int]:
    """Return weight, bias, the largest gradient entry left and the iterations taken."""
    num_classes = int(labels.max()) + 1
    whitening = _damped_whitening(features)
    coefficients = features.new_zeros(num_classes, features.shape[1]).requires_grad_()
    bias = features.new_zeros(num_classes).requires_grad_()
    optimizer = torch.optim.LBFGS(
        [coefficients, bias],
        max_iter=max_iterations,
        max_eval=10 * max_iterations,
        tolerance_grad=_GRADIENT_TOLERANCE,
        tolerance_change=0.0,
        history_size=30,
        line_search_fn="strong_wolfe",
    )

    def objective() -> Tensor:
        optimizer.zero_grad()
        weight = coefficients @ whitening
        cross_entropy = F.cross_entropy(F.linear(features, weight, bias), labels)
        loss = cross_entropy + 0.5 * l2 * weight.square().sum()
        torch.autograd.backward(loss)
        return loss

    optimizer.step(objective)  # type: ignore[no-untyped-call]
    objective()
    assert coefficients.grad is not None
    assert bias.grad is not None
    gradient = max(coefficients.grad.abs().max().item(), bias.grad.abs().max().item())
    iterations = int(optimizer.state[coefficients]["n_iter"])
    return (coefficients @ whitening).detach(), bias.detach(), gradient, iterations


def _damped_whitening(features: Tensor) -> Tensor:
    """Return a ``(D, D)`` change of variables that evens out the fit's curvature.

    It changes the path of L-BFGS, not the minimum. Features whose columns are correlated, as
    ReLU features are, need 3 to 4 times fewer iterations with it (measured at 5,000 x 512 with
    100 classes). Without the damping, directions of little variance would be blown up, which
    costs more iterations than it saves.
    """
    covariance = features.T @ features / len(features)
    diagonal = covariance.diagonal()
    damping = diagonal.mean()
    diagonal.add_(damping if damping > 0 else 1.0)
    factor = torch.linalg.cholesky(covariance)
    identity = torch.eye(len(factor), dtype=factor.dtype, device=factor.device)
    whitening: Tensor = torch.linalg.solve_triangular(factor, identity, upper=False)
    return whitening


@torch.no_grad()
def linear_probe_accuracy(
    train_features: Tensor,
    train_labels: Tensor,
    test_features: Tensor,
    test_labels: Tensor,
    *,
    train_fraction: float = 0.1,
    seed: int = 0,
    l2: float = 1e-3,
    max_iterations: int = 1000,
) -> float:
    """Top-1 accuracy of one linear softmax layer trained on frozen features.

    The paper's "Supervised Test Accuracy" (arXiv 2403.18681, "Metrics"): the layer is trained on
    10 % of the training set and scored on the whole test set. Here the 10 % are drawn by
    :func:`~df_heads.evaluation.stratified_subset`, features are standardised with the mean and
    deviation of the drawn samples (a column constant there is ignored), and the fit is
    deterministic, in float64 (features on ``mps`` are moved to the CPU for that); see
    :func:`fit_softmax_regression`.

    Args:
        train_features: ``(N, D)``, any float dtype and device.
        train_labels: ``(N,)``, integers, at least two classes.
        test_features: ``(M, D)``, moved to the device of ``train_features``.
        test_labels: ``(M,)``, integers; a class not in ``train_labels`` counts as an error.
        train_fraction: Share of the training set to train on; 0.1 is the paper's.
        seed: Seed of the draw; nothing else is random.
        l2: Weight of the penalty ``l2 / 2 * ||weight||^2`` beside the mean cross-entropy. The
            paper names none; the default is ours. On 512 random-patch features of CIFAR-10 it
            is within 0.5 points of the best of 1e-4 to 3e-2 at 1,000 and at 5,000 training
            samples, where 1e-4 and 3e-2 lose up to 2.5 and 6.2.
        max_iterations: Bound on L-BFGS iterations.

    Returns:
        Share of test samples classified correctly, in [0, 1].

    Raises:
        TypeError: An argument is not a tensor.
        ValueError: Shapes, dtypes or lengths do not fit, values are not finite, fewer than two
            training classes, or a setting out of range.

    Warns:
        RuntimeWarning: ``max_iterations`` ended before the fit converged.
    """
    (accuracy,) = linear_probe_accuracies(
        train_features,
        train_labels,
        [(test_features, test_labels)],
        train_fraction=train_fraction,
        seed=seed,
        l2=l2,
        max_iterations=max_iterations,
    )
    return accuracy


@torch.no_grad()
def linear_probe_accuracies(
    train_features: Tensor,
    train_labels: Tensor,
    test_sets: Iterable[tuple[Tensor, Tensor]],
    *,
    train_fraction: float = 0.1,
    seed: int = 0,
    l2: float = 1e-3,
    max_iterations: int = 1000,
) -> list[float]:
    """Top-1 accuracies of one linear probe on several test sets, such as corrupted copies.

    The layer of :func:`linear_probe_accuracy`, fitted once.

    Args:
        train_features: ``(N, D)``, any float dtype and device.
        train_labels: ``(N,)``, integers, at least two classes.
        test_sets: Features ``(M, D)`` and labels ``(M,)`` of each, one or more. Taken one after
            the other, so that a generator needs no memory for all of them.
        train_fraction: Share of the training set to train on.
        seed: Seed of the draw.
        l2: Weight of the penalty.
        max_iterations: Bound on L-BFGS iterations.

    Returns:
        The share of each test set that is classified correctly, in [0, 1].

    Raises:
        TypeError: An argument is not a tensor.
        ValueError: As :func:`linear_probe_accuracy`, or no test set at all.

    Warns:
        RuntimeWarning: ``max_iterations`` ended before the fit converged.
    """
    check_at_least_one(max_iterations, "max_iterations")
    if not (math.isfinite(l2) and l2 > 0):
        raise ValueError(f"l2 must be finite and above 0, got {l2!r}; pass for instance 1e-2.")
    remaining = iter(test_sets)
    first = next(remaining, None)
    if first is None:
        raise ValueError("test_sets holds 0 test sets but a probe needs at least 1; pass one.")
    samples = ProbeSamples.draw(train_features, train_labels, *first, train_fraction, seed)
    weight, bias = fit_softmax_regression(
        samples.features, samples.labels, l2=l2, max_iterations=max_iterations
    )
    # Folded into the layer, standardising needs no copy of the test set beyond a chunk.
    weight = weight * samples.scale
    bias = bias - weight @ samples.mean
    return [
        samples.scored_on(*test_set).accuracy(lambda part: F.linear(part, weight, bias))
        for test_set in chain([first], remaining)
    ]
