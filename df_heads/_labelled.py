"""Checks that every metric on labelled features shares."""

import torch
from torch import Tensor

_INTEGER_DTYPES = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


def check_labels(labels: Tensor, name: str = "labels") -> Tensor:
    """Return ``labels`` (N,) as int64, or raise ValueError saying what is wrong with them."""
    if not isinstance(labels, Tensor):
        raise TypeError(
            f"{name} must be a torch.Tensor, got {type(labels).__name__}; "
            "convert it with torch.as_tensor."
        )
    if labels.ndim != 1:
        raise ValueError(
            f"{name} must have shape (N,), got {tuple(labels.shape)}; "
            "pass one class index per sample (one-hot labels: labels.argmax(1))."
        )
    if labels.dtype not in _INTEGER_DTYPES:
        raise ValueError(
            f"{name} must be integers, got {labels.dtype}; convert class indices with .long()."
        )
    return labels.detach().long()


def check_labelled(
    features: Tensor, labels: Tensor, *, name: str = "", at_least: int = 2
) -> tuple[Tensor, Tensor]:
    """Check one labelled set and bring it to a device that has float64.

    Args:
        features: ``(N, D)``, any float dtype, any device.
        labels: ``(N,)``, integers, any device.
        name: What to call the set in messages, such as ``"train"``.
        at_least: The fewest samples the metric is defined for.

    Returns:
        The features in their own dtype and the labels as int64, detached, on the features'
        device, or on the CPU if that device is ``mps``, which has no float64.

    Raises:
        TypeError: One of the two is not a tensor.
        ValueError: Wrong rank, dtype or length, too few samples, or values that are not finite.
    """
    prefix = f"{name}_" if name else ""
    features = check_features(features, name=name, at_least=at_least)
    labels = check_labels(labels, f"{prefix}labels")
    if len(labels) != len(features):
        raise ValueError(
            f"{prefix}labels has {len(labels)} entries but {prefix}features has {len(features)} "
            "samples; pass exactly one label per row."
        )
    return features, labels.to(features.device)


def check_features(features: Tensor, *, name: str = "", at_least: int = 2) -> Tensor:
    """Check features, with or without labels; see check_labelled."""
    prefix = f"{name}_" if name else ""
    if not isinstance(features, Tensor):
        raise TypeError(
            f"{prefix}features must be a torch.Tensor, got {type(features).__name__}; "
            "convert it with torch.as_tensor."
        )
    if features.ndim != 2 or features.shape[1] == 0:
        raise ValueError(
            f"{prefix}features must have shape (N, D) with D >= 1, got {tuple(features.shape)}; "
            "flatten each sample with features.flatten(1)."
        )
    if not features.is_floating_point():
        raise ValueError(
            f"{prefix}features must be floating point, got {features.dtype}; "
            "convert them with .float()."
        )
    if len(features) < at_least:
        raise ValueError(
            f"{prefix}features has {len(features)} sample(s) but this metric needs at least "
            f"{at_least}; pass a larger set."
        )
    features = features.detach()
    finite = features.isfinite()
    if not finite.all():
        raise ValueError(
            f"{prefix}features holds {int((~finite).sum())} values that are not finite, in "
            f"{int((~finite).any(1).sum())} of {len(features)} samples, and the metric needs "
            "none; check the backbone for divergence or leave those samples out."
        )
    device = torch.device("cpu") if features.device.type == "mps" else features.device
    return features.to(device)


def check_same_width(train_features: Tensor, test_features: Tensor) -> None:
    """Raise ValueError unless both sets have the same number of columns."""
    if train_features.shape[1] != test_features.shape[1]:
        raise ValueError(
            f"test_features has width {test_features.shape[1]} but train_features has width "
            f"{train_features.shape[1]}; extract both with the same backbone."
        )


def check_at_least_one(value: int, name: str) -> None:
    """Raise ValueError unless the count ``value`` is a whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be an integer of at least 1, got {value!r}; pass 1 or more.")
