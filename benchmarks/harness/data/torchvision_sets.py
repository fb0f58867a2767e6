"""Data sets as the files of torchvision's readers, and their download."""

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.data.contents import Contents, FoundDataset, Split
from df_heads.integrations.files.listing import file_line


@dataclass(frozen=True)
class TorchvisionLayout:
    """How torchvision stores a data set below its root folder.

    Attributes:
        reader: Class in torchvision.datasets.
        files: All files that the reader needs, relative to the root.
        train: The reader's arguments for the training split.
        test: The reader's arguments for the test split.
        labels: The reader's attribute that holds the labels.
    """

    reader: str
    files: tuple[str, ...]
    train: dict[str, Any] = field(default_factory=lambda: {"train": True})
    test: dict[str, Any] = field(default_factory=lambda: {"train": False})
    labels: str = "targets"


def locate_torchvision(root: Path, layout: TorchvisionLayout) -> FoundDataset | None:
    """Find torchvision's files below a root folder; None when one is missing."""
    paths = [root / file for file in layout.files]
    if not all(path.is_file() for path in paths):
        return None
    listing = tuple(file_line(path, root) for path in paths)
    return FoundDataset(listing, lambda: _read_torchvision(root, layout))


def _read_torchvision(root: Path, layout: TorchvisionLayout) -> Contents:
    """Read both splits with torchvision's own reader."""
    from torchvision import datasets

    reader = getattr(datasets, layout.reader)
    try:
        train, test = reader(root, **layout.train), reader(root, **layout.test)
    # A wrong checksum, a file that is too short, a header that is none.
    except (RuntimeError, ValueError, AssertionError, OSError) as error:
        folder = root / Path(layout.files[0]).parent
        raise InputError(
            f"torchvision cannot read {folder} ({error}): remove that folder and get it again"
        ) from error

    classes = tuple(train.classes)

    def split(dataset: Any) -> Split:
        labels = np.asarray(getattr(dataset, layout.labels)).astype(np.int64)
        known = (labels >= 0) & (labels < len(classes))
        if len(labels) != len(dataset.data) or not known.all():
            raise InputError(
                f"{root / Path(layout.files[0]).parent} has {len(dataset.data)} images and "
                f"{known.sum()} labels from 0 to {len(classes) - 1}: remove that folder and get "
                "it again"
            )
        return Split(labels, lambda index: dataset[index][0].convert("RGB"))

    return Contents(split(train), split(test), classes)


def download_torchvision(root: Path, layout: TorchvisionLayout) -> None:
    """Let torchvision download a data set and put its files below root when all are there."""
    from torchvision import datasets

    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix=".download-") as folder:
        getattr(datasets, layout.reader)(folder, **layout.train, download=True)
        for file in layout.files:
            (root / file).parent.mkdir(parents=True, exist_ok=True)
            Path(folder, file).replace(root / file)
