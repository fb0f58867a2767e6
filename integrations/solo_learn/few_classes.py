"""Top-5 accuracy in solo-learn where there are fewer than five classes.

Its accuracy_at_k asks for the five best of as many logits as there are classes, and its linear
evaluation ends with "selected index k out of range" where these are fewer.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from df_heads.integrations.solo_learn.support import COUNT_TOP_K, accuracy_at_k


def accuracy_at_most(outputs: Tensor, targets: Tensor, top_k: Sequence[int] = (1, 5)) -> Any:
    """solo-learn's; of fewer classes than k it is the accuracy over all of them, 100 %.

    Args:
        outputs: Logits (N, C).
        targets: Labels (N,).
        top_k: The numbers of classes to look at.
    """
    return accuracy_at_k(outputs, targets, top_k=[min(k, outputs.shape[1]) for k in top_k])


def allow_few_classes() -> None:
    """Put accuracy_at_most where solo-learn's methods look; `forbid_few_classes` undoes it."""
    for place in COUNT_TOP_K:
        if place.accuracy_at_k is accuracy_at_k:
            place.accuracy_at_k = accuracy_at_most


def forbid_few_classes() -> None:
    """Take away what allow_few_classes put, and nothing else."""
    for place in COUNT_TOP_K:
        if place.accuracy_at_k is accuracy_at_most:
            place.accuracy_at_k = accuracy_at_k
