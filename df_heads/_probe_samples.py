"""What every probe shares: the samples it is fitted to, standardised, and how it is scored."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from df_heads._finite import check_number
from df_heads._labelled import check_labelled, check_labels, check_same_width

_CHUNK = 8192


@dataclass(frozen=True, eq=False)
class ProbeSamples:
    """The labelled samples of a probe, and the test set that scores it.

    Attributes:
        features: Drawn training features, standardised with their own mean and deviation (a
            column constant there becomes 0), float64 ``(n, D)``.
        labels: Their classes as 0 to K - 1, int64 ``(n,)``.
        classes: The label of each class, ``(K,)``.
        mean: Subtracted from a feature, float64 ``(D,)``.
        scale: Multiplies it then, float64 ``(D,)``.
        test_features: As given, ``(M, D)``.
        test_labels: As given, ``(M,)``.
    """

    features: Tensor
    labels: Tensor
    classes: Tensor
    mean: Tensor
    scale: Tensor
    test_features: Tensor
    test_labels: Tensor

    @classmethod
    def draw(
        cls,
        train_features: Tensor,
        train_labels: Tensor,
        test_features: Tensor,
        test_labels: Tensor,
        fraction: float,
        seed: int,
    ) -> "ProbeSamples":
        """Check both sets and draw ``fraction`` of every training class.

        Raises:
            TypeError: An argument is not a tensor.
            ValueError: Shapes, dtypes or lengths do not fit, values are not finite, fewer than two
                training classes, or ``fraction`` out of range.
        """
        train_features, train_labels = check_labelled(train_features, train_labels, name="train")
        test_features, test_labels = check_labelled(
            test_features, test_labels, name="test", at_least=1
        )
        check_same_width(train_features, test_features)
        drawn = stratified_subset(train_labels, fraction, seed)
        classes, labels = torch.unique(train_labels[drawn], return_inverse=True)
        if len(classes) < 2:
            raise ValueError(
                f"train_labels holds only class {int(classes[0])} but a probe needs at least 2 "
                "classes; pass labels of several classes."
            )
        features = train_features[drawn].double()
        mean, deviation = features.mean(0), features.std(0, unbiased=False)
        # torch's std updates a running mean (Welford), so it is exactly 0 for a constant column.
        scale = torch.where(deviation > 0, deviation.reciprocal(), 0.0)
        features = (features - mean) * scale
        return cls(features, labels, classes, mean, scale, test_features, test_labels)

    def scored_on(self, test_features: Tensor, test_labels: Tensor) -> "ProbeSamples":
        """The same training samples with another test set.

        Raises:
            TypeError: An argument is not a tensor.
            ValueError: Shapes, dtypes or lengths do not fit, or values are not finite.
        """
        test_features, test_labels = check_labelled(
            test_features, test_labels, name="test", at_least=1
        )
        check_same_width(self.features, test_features)
        return replace(self, test_features=test_features, test_labels=test_labels)

    def accuracy(self, logits: Callable[[Tensor], Tensor]) -> float:
        """Share of test samples classified correctly, in [0, 1].

        Args:
            logits: From test features as they were given, but in float64, ``(m, D)``, to
                ``(m, K)``.
        """
        correct, device = 0, self.features.device
        for start in range(0, len(self.test_labels), _CHUNK):
            part = slice(start, start + _CHUNK)
            predicted = logits(self.test_features[part].to(device).double()).argmax(1)
            correct += int((self.classes[predicted] == self.test_labels[part].to(device)).sum())
        return correct / len(self.test_labels)


def stratified_subset(labels: Tensor, fraction: float, seed: int = 0) -> Tensor:
    """Draw the same fraction of every class, without replacement.

    A class of n samples gives ``round(fraction * n)`` of them (halves go up), at least one; the
    total can therefore differ a little from ``fraction * N``. With one seed, a smaller fraction
    is always contained in a larger one, and the draw is the same on every device.

    Args:
        labels: Class indices, integers of shape ``(N,)``; they need not be contiguous.
        fraction: Share of each class to draw, in (0, 1].
        seed: Seed of the ``torch.Generator`` that draws; the global one is left alone.

    Returns:
        Ascending int64 indices into ``labels``, on its device.

    Raises:
        TypeError: ``labels`` is not a tensor, ``fraction`` no number or ``seed`` no whole one.
        ValueError: ``labels`` is empty, not integer or not 1-D, or ``fraction`` out of range.
    """
    check_number(fraction=fraction)
    if not 0 < fraction <= 1:
        raise ValueError(
            f"fraction must lie in (0, 1], got {fraction!r}; pass 0.1 for 10 %, 1.0 for all."
        )
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise TypeError(f"seed={seed!r} must be a whole number, not {type(seed).__name__}.")
    classes = check_labels(labels).cpu()
    if len(classes) == 0:
        raise ValueError("labels has 0 entries but at least 1 is needed; pass a non-empty set.")
    shuffled = torch.randperm(len(classes), generator=torch.Generator().manual_seed(seed))
    _, inverse, counts = torch.unique(classes[shuffled], return_inverse=True, return_counts=True)
    by_class = inverse.argsort(stable=True)
    first_of_class = (counts.cumsum(0) - counts).repeat_interleave(counts)
    rank_in_class = torch.arange(len(classes)) - first_of_class
    wanted = (fraction * counts.double() + 0.5).floor().long().clamp(min=1)
    drawn = shuffled[by_class[rank_in_class < wanted.repeat_interleave(counts)]]
    return drawn.sort().values.to(labels.device)
