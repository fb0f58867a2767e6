"""A data set that was found and not yet decoded."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image


@dataclass(frozen=True, eq=False)
class Split:
    """One split, not yet decoded.

    Attributes:
        labels: int64 (N,), positions in the data set's classes.
        image: Decodes image number i to a PIL image of mode RGB; safe to call from many threads;
            raises InputError for an image that cannot be decoded.
    """

    labels: npt.NDArray[np.int64]
    image: Callable[[int], Image.Image]


@dataclass(frozen=True)
class Contents:
    """Both splits and the names of their classes."""

    train: Split
    test: Split
    classes: tuple[str, ...]


@dataclass(frozen=True)
class FoundDataset:
    """Where a data set was found.

    Attributes:
        listing: What tells one version of the data from another: a line per file, with its
            relative path, size and time of change.
        read: Opens the data set.
    """

    listing: tuple[str, ...]
    read: Callable[[], Contents]
