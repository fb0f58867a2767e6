"""A data set that was found and not yet decoded."""

import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from df_heads.benchmarks.harness.base.errors import InputError


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


def file_line(path: Path, root: Path) -> str:
    """Describe one file for a listing.

    Raises:
        InputError: If it is a link to nothing, or no file that ends, such as a named pipe.
    """
    try:
        facts = path.stat()
    except FileNotFoundError as error:
        raise InputError(f"{path} is a link to nothing: repair or remove it") from error
    if not stat.S_ISREG(facts.st_mode):
        raise InputError(f"{path} is no ordinary file: remove it")
    # Path.relative_to takes longer than stat itself.
    relative = str(path)[len(str(root)) + 1 :]
    return f"{relative} {facts.st_size} {facts.st_mtime_ns}"
