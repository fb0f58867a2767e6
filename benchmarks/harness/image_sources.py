"""The data sets that benchmarks know, where their images are looked for, and how they are read.

A data set is one entry of `DATASETS`. `locate` finds its images without decoding any, so that a
decoded copy (see `images`) can be recognised by the files it was made from.
"""

import os
import struct
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from df_heads.benchmarks.harness.errors import InputError

# torchvision.datasets.folder.IMG_EXTENSIONS, and two that Pillow reads as well.
IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp"),
    *(".gif", ".avif"),
)
DIGITS_TEST_FRACTION = 0.2
DIGITS_SPLIT_SEED = 0


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
class Located:
    """Where a data set was found.

    Attributes:
        listing: What tells one version of the data from another: a line per file, with its
            relative path, size and time of change.
        read: Opens the data set.
    """

    listing: tuple[str, ...]
    read: Callable[[], Contents]


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
    bundled: Callable[[], Located] | None = None
    subfolders: tuple[str, ...] = ()
    test_splits: tuple[str, ...] = ("test", "val")
    torchvision: TorchvisionLayout | None = None


def locate(name: str, data_dir: Path | None, downloads: Path, download: bool) -> Located:
    """Find a data set: image folders first, then torchvision's files, then its download.

    Args:
        name: A key of `DATASETS`.
        data_dir: Where to look; None for `downloads`.
        downloads: Where downloads go when there is no data_dir.
        download: Whether torchvision may download what was not found.

    Raises:
        InputError: Nothing usable was found.
    """
    source = DATASETS[name]
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
            return _locate_folder(folder, source.test_splits)
    tried = [*(f"{subfolder}/train" for subfolder in source.subfolders), "train"]
    layout = source.torchvision
    if layout is None:
        raise InputError(
            f"data set {name!r} is not in {root}, which has no {' and no '.join(tried)}: put the "
            f"images in train/<class>/* and {source.test_splits[0]}/<class>/*"
        )
    located = _locate_torchvision(root, layout)
    if located is not None:
        return located
    missing = (
        f"data set {name!r} is not in {root} (no {', no '.join(tried)}, and not all files of "
        f"torchvision's {Path(layout.files[0]).parent})"
    )
    if not download:
        raise InputError(f"{missing}: pass --data-dir with a folder that has it or allow downloads")
    try:
        _download(root, layout)
    # torchvision raises RuntimeError for a wrong checksum, URLError is an OSError.
    except (OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{missing}, and torchvision's download of it failed ({reason}): get it elsewhere and "
            "pass its folder with --data-dir"
        ) from error
    located = _locate_torchvision(root, layout)
    assert located is not None, "the download moves every file of the layout into place"
    return located


def _file_line(path: Path, root: Path) -> str:
    """Describe one file for a listing."""
    facts = path.stat()
    # Path.relative_to takes longer than stat itself.
    relative = str(path)[len(str(root)) + 1 :]
    return f"{relative} {facts.st_size} {facts.st_mtime_ns}"


# --- image folders


def _locate_folder(root: Path, test_splits: tuple[str, ...]) -> Located:
    """Find root/train/<class>/* and the test split beside it."""
    test_folder = next((root / s for s in test_splits if (root / s).is_dir()), None)
    if test_folder is None:
        raise InputError(
            f"{root} has a train folder but no {' or '.join(test_splits)} folder beside it: move "
            f"some images of every class to {root / test_splits[0]}/<class>/"
        )
    train, train_extra = _scan_split(root / "train")
    test, test_extra = _scan_split(test_folder)
    classes = tuple(sorted(train))
    unknown = sorted(set(test) - set(train))
    if unknown:
        raise InputError(
            f"{test_folder} has {_some(unknown)} that {root / 'train'} lacks: both splits must "
            "have the same classes"
        )

    def read() -> Contents:
        return Contents(_folder_split(train, classes), _folder_split(test, classes), classes)

    used = [*(p for s in (train, test) for files in s.values() for p in files)]
    lines = [_file_line(path, root) for path in used + train_extra + test_extra]
    return Located(tuple(sorted(lines)), read)


def _folder_split(files: dict[str, list[Path]], classes: tuple[str, ...]) -> Split:
    """Order the files by class, then by path."""
    pairs = [(path, label) for label, name in enumerate(classes) for path in files.get(name, [])]
    paths = [path for path, _ in pairs]
    return Split(
        np.array([label for _, label in pairs], dtype=np.int64),
        lambda index: _open_rgb(paths[index]),
    )


def _scan_split(folder: Path) -> tuple[dict[str, list[Path]], list[Path]]:
    """List the images of each class of one split.

    Returns:
        The sorted image files of each class, and the files that say which class is whose.
    """
    annotations = folder / "val_annotations.txt"
    if annotations.is_file():
        return _scan_annotated(folder / "images", annotations), [annotations]
    children = sorted(child for child in folder.iterdir() if not child.name.startswith("."))
    stray = [child.name for child in children if _is_image(child.name) and child.is_file()]
    if stray:
        raise InputError(
            f"{folder} has {_some(stray)} outside any class: move every image to {folder}/<class>/"
        )
    classes = {child.name: _images_below(child) for child in children if child.is_dir()}
    if not any(classes.values()):
        raise InputError(
            f"{folder} holds no images: put them in {folder}/<class>/ with one of the endings "
            f"{' '.join(IMAGE_SUFFIXES)}"
        )
    empty = [name for name, files in classes.items() if not files]
    if empty:
        raise InputError(
            f"{folder} has no images in {_some(empty)}: add images or remove the empty folder"
        )
    return classes, []


def _scan_annotated(images: Path, annotations: Path) -> dict[str, list[Path]]:
    """Read Tiny ImageNet's validation split: images in one folder, classes in a text file."""
    classes: dict[str, list[Path]] = {}
    for number, line in enumerate(annotations.read_text(encoding="utf-8").splitlines(), start=1):
        fields = line.split("\t")
        if len(fields) < 2:
            raise InputError(
                f"line {number} of {annotations} is {line!r} instead of an image and its class, "
                "separated by a tab: unpack the archive again"
            )
        classes.setdefault(fields[1], []).append(images / fields[0])
    annotated = {path for files in classes.values() for path in files}
    differing = sorted(path.name for path in annotated.symmetric_difference(_images_below(images)))
    if differing or not annotated:
        raise InputError(
            f"{annotations} and {images} do not list the same images ({_some(differing)}): unpack "
            "the archive again"
        )
    return {name: sorted(files) for name, files in classes.items()}


def _images_below(folder: Path) -> list[Path]:
    """List the image files below a folder, sorted; hidden files and folders do not count."""
    found = []
    for parent, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [f"{parent}/{name}" for name in names if _is_image(name)]
    return [Path(file) for file in sorted(found)]


def _is_image(name: str) -> bool:
    return not name.startswith(".") and name.lower().endswith(IMAGE_SUFFIXES)


def _some(names: list[str]) -> str:
    """Name the first few of a list."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _open_rgb(path: Path) -> Image.Image:
    """Decode one file to mode RGB: transparent pixels become white, 16-bit gray becomes 8-bit."""
    try:
        with Image.open(path) as image:
            if image.mode.startswith("I;16"):
                # Pillow's own conversion clips at 255, which leaves a white image.
                gray = (np.asarray(image) >> 8).astype(np.uint8)
                return Image.fromarray(gray).convert("RGB")
            if image.mode in ("I", "F"):
                raise ValueError(f"mode {image.mode} has no fixed range, save it with 8 bits")
            if "A" in image.getbands() or "transparency" in image.info:
                white = Image.new("RGBA", image.size, "white")
                return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
            return image.convert("RGB")
    # What Pillow's decoders raise for damaged files.
    except (
        OSError,
        SyntaxError,
        ValueError,
        IndexError,
        EOFError,
        struct.error,
        Image.DecompressionBombError,
    ) as error:
        raise InputError(
            f"image {path} cannot be decoded ({error}): replace or remove it"
        ) from error


# --- torchvision


def _locate_torchvision(root: Path, layout: TorchvisionLayout) -> Located | None:
    """Find torchvision's files below a root folder; None when one is missing."""
    paths = [root / file for file in layout.files]
    if not all(path.is_file() for path in paths):
        return None
    listing = tuple(_file_line(path, root) for path in paths)
    return Located(listing, lambda: _read_torchvision(root, layout))


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

    def split(dataset: Any) -> Split:
        labels = np.asarray(getattr(dataset, layout.labels)).astype(np.int64)
        return Split(labels, lambda index: dataset[index][0].convert("RGB"))

    return Contents(split(train), split(test), tuple(train.classes))


def _download(root: Path, layout: TorchvisionLayout) -> None:
    """Let torchvision download a data set and put its files below root when all are there."""
    from torchvision import datasets

    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix=".download-") as folder:
        getattr(datasets, layout.reader)(folder, **layout.train, download=True)
        for file in layout.files:
            (root / file).parent.mkdir(parents=True, exist_ok=True)
            Path(folder, file).replace(root / file)


# --- scikit-learn


def _locate_digits() -> Located:
    """Find scikit-learn's digits: 1,797 handwritten digits of 8x8 pixels, in the package."""
    try:
        import sklearn
    except ImportError as error:
        raise ImportError(
            "data set 'digits' comes with scikit-learn: pip install 'df-heads[benchmarks]'"
        ) from error
    split = f"test {DIGITS_TEST_FRACTION} seed {DIGITS_SPLIT_SEED}"
    return Located((f"scikit-learn {sklearn.__version__} {split}",), _read_digits)


def _read_digits() -> Contents:
    """Scale the digits' 0..16 to 0..255 and split them, every class in the same proportion."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    train, test = train_test_split(
        np.arange(len(pixels)),
        test_size=DIGITS_TEST_FRACTION,
        stratify=digits.target,
        random_state=DIGITS_SPLIT_SEED,
    )

    def split(chosen: npt.NDArray[np.int64]) -> Split:
        images = pixels[np.sort(chosen)]
        labels = digits.target[np.sort(chosen)].astype(np.int64)
        return Split(labels, lambda index: Image.fromarray(images[index]).convert("RGB"))

    return Contents(split(train), split(test), tuple(str(name) for name in digits.target_names))


def _below(folder: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{folder}/{name}" for name in names)


DATASETS: dict[str, Source] = {
    "digits": Source(horizontal_flip=False, bundled=_locate_digits),
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
