"""The check of class labels that all measures of fusion share."""

import torch
from torch import Tensor

from df_heads._labelled import check_labels


def class_index(labels: Tensor, rows: Tensor, *, name: str, at_least: int = 1) -> Tensor:
    """Number the classes 0 to K - 1, in ascending order of their labels.

    Args:
        labels: (N,), integers.
        rows: What is labelled, (..., N, D).
        name: What to call ``rows`` in messages.
        at_least: The fewest samples of each class that the measure is defined for.

    Returns:
        (N,) int64 on the device of ``rows``.

    Raises:
        TypeError: If labels is not a tensor.
        ValueError: If labels does not fit rows, holds fewer than two classes, or a class has
            fewer than ``at_least`` samples.
    """
    labels = check_labels(labels)
    if len(labels) != rows.shape[-2]:
        raise ValueError(
            f"labels has {len(labels)} entries but {name} has {rows.shape[-2]} rows; pass "
            "exactly one label per row."
        )
    index: Tensor
    classes, index, counts = torch.unique(labels, return_inverse=True, return_counts=True)
    if len(classes) < 2:
        raise ValueError(
            f"labels holds {len(classes)} class(es) but at least 2 are needed; take a batch with "
            "more classes."
        )
    if counts.min() < at_least:
        rare = counts.argmin()
        raise ValueError(
            f"class {int(classes[rare])} has {int(counts[rare])} sample(s) but each class needs "
            f"at least {at_least}; take a larger batch or leave that class out."
        )
    return index.to(rows.device)
