"""The data sets that benchmarks know and where their images are looked for.

A data set is one entry of `DATASETS`. `locate` finds its images without decoding any, so that a
decoded copy (see `images`) can be recognised by the files it was made from.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.base.registry import Registry
from df_heads.benchmarks.harness.data.contents import FoundDataset
from df_heads.benchmarks.harness.data.digits import locate_digits
from df_heads.benchmarks.harness.data.folders import locate_folder
from df_heads.benchmarks.harness.data.torchvision_sets import (
    TorchvisionLayout,
    download_torchvision,
    locate_torchvision,
)


@dataclass(frozen=True)
class Source:
    """One data set: its facts and how to read it.

    Attributes:
        horizontal_flip: Whether a mirrored image keeps its label (a mirrored digit does not).
        bundled: Reads a data set that comes with a package and needs no folder.
        subfolders: Folders of the data folder that may hold train/, tried in this order before
            the data folder itself.
        test_splits: Names of the folder with the test images, in order of preference.
        torchvision: torchvision's layout of it, where torchvision has a reader.
    """

    horizontal_flip: bool
    bundled: Callable[[], FoundDataset] | None = None
    subfolders: tuple[str, ...] = ()
    test_splits: tuple[str, ...] = ("test", "val")
    torchvision: TorchvisionLayout | None = None


def locate(name: str, data_dir: Path | None, downloads: Path, download: bool) -> FoundDataset:
    """Find a data set: image folders first, then torchvision's files, then its download.

    Args:
        name: A key of `DATASETS`.
        data_dir: Where to look; None for `downloads`.
        downloads: Where downloads go when there is no data_dir.
        download: Whether torchvision may download what was not found.

    Raises:
        InputError: Nothing usable was found.
    """
    source = DATASETS.find(name)
    if source.bundled is not None:
        return source.bundled()
    if data_dir is None and source.torchvision is None:
        raise InputError(
            f"data set {name!r} cannot be downloaded: pass --data-dir with a folder that holds "
            f"train/<class>/* and {source.test_splits[0]}/<class>/*"
        )
    root = downloads if data_dir is None else data_dir
    for folder in [*(root / subfolder for subfolder in source.subfolders), root]:
        if (folder / "train").is_dir():
            return locate_folder(folder, source.test_splits)
    tried = [*(f"{subfolder}/train" for subfolder in source.subfolders), "train"]
    layout = source.torchvision
    if layout is None:
        raise InputError(
            f"data set {name!r} is not in {root}, which has no {' and no '.join(tried)}: put the "
            f"images in train/<class>/* and {source.test_splits[0]}/<class>/*"
        )
    found = locate_torchvision(root, layout)
    if found is not None:
        return found
    missing = (
        f"data set {name!r} is not in {root} (no {', no '.join(tried)}, and not all files of "
        f"torchvision's {Path(layout.files[0]).parent})"
    )
    if not download:
        raise InputError(f"{missing}: pass --data-dir with a folder that has it or allow downloads")
    try:
        download_torchvision(root, layout)
    # torchvision raises RuntimeError for a wrong checksum, URLError is an OSError.
    except (OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{missing}, and torchvision's download of it failed ({reason}): get it elsewhere and "
            "pass its folder with --data-dir"
        ) from error
    found = locate_torchvision(root, layout)
    assert found is not None, "the download moves every file of the layout into place"
    return found


def _below(folder: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{folder}/{name}" for name in names)


def _from_outside(name: str, found: Any) -> Source:
    if not isinstance(found, Source):
        raise TypeError(f"it must be a {Source.__module__}.Source, not a {type(found).__name__}")
    return found


_OF_THE_PROJECT: dict[str, Source] = {
    "digits": Source(horizontal_flip=False, bundled=locate_digits),
    "cifar10": Source(
        horizontal_flip=True,
        subfolders=("cifar10",),
        torchvision=TorchvisionLayout(
            "CIFAR10",
            _below(
                "cifar-10-batches-py",
                *(f"data_batch_{number}" for number in range(1, 6)),
                "test_batch",
                "batches.meta",
            ),
        ),
    ),
    "cifar100": Source(
        horizontal_flip=True,
        subfolders=("cifar100",),
        torchvision=TorchvisionLayout(
            "CIFAR100", _below("cifar-100-python", "train", "test", "meta")
        ),
    ),
    "mnist": Source(
        horizontal_flip=False,
        subfolders=("mnist",),
        torchvision=TorchvisionLayout(
            "MNIST",
            _below(
                "MNIST/raw",
                "train-images-idx3-ubyte",
                "train-labels-idx1-ubyte",
                "t10k-images-idx3-ubyte",
                "t10k-labels-idx1-ubyte",
            ),
        ),
    ),
    "stl10": Source(
        horizontal_flip=True,
        subfolders=("stl10",),
        torchvision=TorchvisionLayout(
            "STL10",
            # The reader checks unlabeled_X.bin too.
            _below(
                "stl10_binary",
                "train_X.bin",
                "train_y.bin",
                "test_X.bin",
                "test_y.bin",
                "unlabeled_X.bin",
                "class_names.txt",
            ),
            train={"split": "train"},
            test={"split": "test"},
            labels="labels",
        ),
    ),
    "imagenet200": Source(
        horizontal_flip=True,
        subfolders=("imagenet200", "tiny-imagenet-200"),
        # The archive's test folder has no labels.
        test_splits=("val", "test"),
    ),
    "folder": Source(horizontal_flip=True),
}


#: Name -> data set.
DATASETS: Registry[Source] = Registry("data set", _from_outside, group="df_heads.datasets")
for _name, _source in _OF_THE_PROJECT.items():
    DATASETS.add(_name, _source)
