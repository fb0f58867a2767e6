"""Wrong labels among those that a probe learns from."""

import torch
from torch import Tensor


def with_wrong_labels(labels: Tensor, rate: float, classes: int, seed: int) -> Tensor:
    """Labels of which a share is replaced, each by another class, all others equally likely.

    Symmetric label noise. Exactly round(rate * N) labels are wrong, halves going up; with one seed
    those of a lower rate are wrong in the same way at a higher one.

    Args:
        labels: Classes 0 to `classes` - 1, (N,).
        rate: Share of wrong labels, from 0 to 1.
        classes: Number of classes, at least 2.
        seed: Seed of the draw; the global generator is left alone.

    Returns:
        Labels (N,) on the CPU.

    Raises:
        ValueError: If the rate or the number of classes is out of range.
    """
    if not 0 <= rate <= 1:
        raise ValueError(f"rate={rate} must be from 0 to 1, such as 0.2.")
    if classes < 2:
        raise ValueError(f"classes={classes} leaves no other class; it must be at least 2.")
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(labels), generator=generator)
    shift = torch.randint(1, classes, (len(labels),), generator=generator)
    wrong = order[: int(rate * len(labels) + 0.5)]
    noisy = labels.cpu().clone()
    noisy[wrong] = (noisy[wrong] + shift[wrong]) % classes
    return noisy
