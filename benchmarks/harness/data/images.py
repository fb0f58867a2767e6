"""Data sets as uint8 arrays, decoded once into a memory-mapped cache.

    data = load_images("cifar10", data_dir=Path("~/data"))
    data.train_images[:256]      # uint8 (256, 3, 32, 32)

`sources.DATASETS` says which data sets there are and where each is looked for.
"""

import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from tqdm.auto import tqdm

from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.base.names import file_name
from df_heads.benchmarks.harness.data.contents import Contents, Split
from df_heads.benchmarks.harness.data.sources import DATASETS, locate
from df_heads.integrations.files.listing import file_line
from df_heads.integrations.files.pictures import to_square

CACHE_FORMAT = 2
MIN_IMAGE_SIZE = 8
PROGRESS_ABOVE = 2_000
CHUNK = 256
SECONDS_UNTIL_STALE = 86_400.0
ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")


@dataclass(frozen=True, eq=False)
class ImageData:
    """A decoded data set.

    Attributes:
        name: Its key in `DATASETS`.
        train_images: uint8 (N, 3, S, S), a read-only memory map; ordered by class where the
            source is an image folder, so shuffle.
        train_labels: int64 (N,), positions in classes.
        test_images: uint8 (M, 3, S, S), a read-only memory map.
        test_labels: int64 (M,), positions in classes.
        classes: The class names.
        fingerprint: 16 hex digits of the sha256 over the four arrays.
    """

    name: str
    train_images: npt.NDArray[np.uint8]
    train_labels: npt.NDArray[np.int64]
    test_images: npt.NDArray[np.uint8]
    test_labels: npt.NDArray[np.int64]
    classes: tuple[str, ...]
    fingerprint: str


def default_cache_dir() -> Path:
    """Return $XDG_CACHE_HOME/df-heads, or ~/.cache/df-heads where that is not set."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "df-heads"


def load_images(
    name: str,
    *,
    data_dir: Path | None = None,
    image_size: int = 32,
    cache_dir: Path | None = None,
    download: bool = True,
) -> ImageData:
    """Load a data set as arrays, decoding it the first time.

    Looked for below data_dir, in this order: an image folder <name>/train/<class>/* with
    <name>/test/<class>/* or <name>/val/<class>/*, the same without <name>, and the files of
    torchvision's reader. What torchvision can download is downloaded there if download is True.
    Tiny ImageNet ("imagenet200") may be the unpacked archive. "digits" needs no data_dir.

    Gray images get three equal channels, transparent pixels become white. Images of another size
    are cut to their central square and resized with antialiasing (Pillow's bilinear filter).

    Args:
        name: A key of `DATASETS`; "folder" for images of one's own.
        data_dir: Where the data is; None for cache_dir/downloads.
        image_size: Side S of the decoded images, at least 8.
        cache_dir: Where decoded arrays are kept; None for `default_cache_dir()`.
        download: Whether torchvision may download what data_dir lacks.

    Raises:
        InputError: The name, the size, a folder or an image is not usable.
    """
    DATASETS.find(name)
    if image_size < MIN_IMAGE_SIZE:
        raise InputError(f"image size {image_size} is too small: use {MIN_IMAGE_SIZE} or more")
    cache_dir = default_cache_dir() if cache_dir is None else cache_dir.expanduser()
    try:
        if data_dir is not None:
            data_dir = data_dir.expanduser()
            if not data_dir.is_dir():
                raise InputError(f"data folder {data_dir} does not exist: check --data-dir")
        found = locate(name, data_dir, cache_dir / "downloads", download)
    except OSError as error:
        raise InputError(
            f"{error.filename or data_dir} cannot be read ({error.strerror or error}): mend it or "
            "choose another --data-dir"
        ) from error
    listing = "\n".join([f"format {CACHE_FORMAT}", *found.listing])
    digest = hashlib.sha256(listing.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    folder = cache_dir / f"{file_name(name)}-{image_size}-{digest}"
    data = _read_cache(name, folder)
    if data is None:
        if folder.exists():
            print(f"the decoded images {folder} are damaged; decoding again", file=sys.stderr)
        _write_cache(folder, found.read(), image_size)
        data = _read_cache(name, folder)
        if data is None:
            raise RuntimeError(f"the cache {folder} cannot be read back")
    return data


# Caches that this process compared with their fingerprint, and the state of their files then.
_compared: set[tuple[str, ...]] = set()


def _read_cache(name: str, folder: Path) -> ImageData | None:
    """Map a cache folder; None where there is none or a file of it is not what was written.

    The first time in a process the content is compared with its fingerprint, at 0.9 GB/s of
    sha256 on one core: 0.2 s for CIFAR-10.
    """
    try:
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        state = tuple(file_line(folder / f"{array}.npy", folder) for array in ARRAYS)
        arrays: dict[str, npt.NDArray[Any]] = {}
        for array in ARRAYS:
            mode: Literal["r"] | None = "r" if array.endswith("images") else None
            arrays[array] = np.load(folder / f"{array}.npy", mmap_mode=mode)
        data = ImageData(name, **arrays, classes=tuple(meta["classes"]), fingerprint=meta["sha256"])
        key = (str(folder), data.fingerprint, *state)
        if key not in _compared and not _as_written(data):
            return None
        _compared.add(key)
        return data
    # No such file; numpy and json raise the others for a file that is cut off or overwritten.
    except (OSError, ValueError, EOFError, KeyError, TypeError):
        return None


def _as_written(data: ImageData) -> bool:
    """Whether arrays are of the right kind and have their fingerprint."""
    splits = ((data.train_images, data.train_labels), (data.test_images, data.test_labels))
    digest = hashlib.sha256()
    for images, labels in splits:
        if images.dtype != np.uint8 or labels.dtype != np.int64:
            return False
        if images.ndim != 4 or labels.shape != images.shape[:1]:
            return False
        digest.update(np.ascontiguousarray(images).data)
        digest.update(np.ascontiguousarray(labels).data)
    return digest.hexdigest()[:16] == data.fingerprint


def _write_cache(folder: Path, contents: Contents, size: int) -> None:
    """Decode a data set into a cache folder that appears only when it is complete."""
    splits = {"train": contents.train, "test": contents.test}
    needed = sum(len(split.labels) for split in splits.values()) * (3 * size * size + 8)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale(folder)
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    except OSError as error:
        raise InputError(
            f"the cache folder {folder.parent} cannot be written ({error}): choose another one "
            "with --cache-dir"
        ) from error
    try:
        if shutil.disk_usage(temporary).free < needed:
            raise InputError(
                f"the cache folder {folder.parent} has less than the {needed / 1e9:.2f} GB that "
                "the decoded images need: free some or choose another one with --cache-dir"
            )
        digest = hashlib.sha256()
        for split_name, split in splits.items():
            arrays: dict[str, npt.NDArray[Any]] = {
                f"{split_name}_images": _decode(
                    split, size, temporary / f"{split_name}_images.npy"
                ),
                f"{split_name}_labels": split.labels,
            }
            np.save(temporary / f"{split_name}_labels.npy", split.labels)
            for array in arrays.values():
                digest.update(array.data)
        meta = {"classes": contents.classes, "sha256": digest.hexdigest()[:16]}
        (temporary / "meta.json").write_text(json.dumps(meta, indent=1), encoding="utf-8")
        _publish(temporary, folder)
    except OSError as error:
        raise InputError(
            f"the decoded images cannot be written to {folder.parent} ({error.strerror or error}): "
            "make room there or choose another one with --cache-dir"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _remove_stale(folder: Path) -> None:
    """Remove what processes that were killed while decoding left, a day ago or more."""
    for left in folder.parent.glob(f".{folder.name}-*"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > SECONDS_UNTIL_STALE:
                shutil.rmtree(left, ignore_errors=True)


def _publish(temporary: Path, folder: Path) -> None:
    """Rename a complete cache to its final name, in place of a damaged one."""
    if _read_cache("", folder) is None:
        with suppress(FileNotFoundError):
            folder.rename(temporary / "damaged")
    try:
        temporary.rename(folder)
    except OSError:
        # Another process was first; its copy is as good as this one.
        if _read_cache("", folder) is None:
            raise


def _decode(split: Split, size: int, path: Path) -> npt.NDArray[np.uint8]:
    """Decode one split into a new .npy file.

    Returns:
        uint8 (N, 3, size, size), a memory map.

    Raises:
        InputError: At least one image cannot be decoded.
    """
    total = len(split.labels)
    images = np.lib.format.open_memmap(
        path, mode="w+", dtype=np.uint8, shape=(total, 3, size, size)
    )
    _reserve(path)
    chunks = [range(start, min(start + CHUNK, total)) for start in range(0, total, CHUNK)]
    failures: list[InputError] = []
    # Threads: Pillow releases the interpreter lock to decode and to resize.
    with (
        ThreadPoolExecutor(os.cpu_count()) as pool,
        tqdm(
            total=total,
            desc=f"decoding {path.stem}",
            unit="image",
            leave=False,
            disable=total <= PROGRESS_ABOVE,
        ) as progress,
    ):
        try:
            for chunk, failed in zip(
                chunks, pool.map(partial(_decode_chunk, split, images), chunks), strict=True
            ):
                failures += failed
                progress.update(len(chunk))
        except BaseException:  # such as Interrupted: do not decode the rest first
            pool.shutdown(cancel_futures=True)
            raise
    if failures:
        others = f" (and {len(failures) - 1} more like it)" if len(failures) > 1 else ""
        raise InputError(f"{failures[0]}{others}") from failures[0]
    images.flush()
    return images


def _reserve(path: Path) -> None:
    """Take a file's space on the disk now: a memory map on a full disk kills the process."""
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as stream:
            os.posix_fallocate(stream.fileno(), 0, path.stat().st_size)


def _decode_chunk(split: Split, images: npt.NDArray[np.uint8], chunk: range) -> list[InputError]:
    """Decode some images into their places.

    Args:
        split: Where they come from.
        images: uint8 (N, 3, S, S), written.
        chunk: Which of the N.

    Returns:
        What was wrong with the images that cannot be decoded.
    """
    failures = []
    for index in chunk:
        try:
            square = to_square(split.image(index), images.shape[-1])
        except InputError as error:
            failures.append(error)
        else:
            images[index] = np.asarray(square).transpose(2, 0, 1)
    return failures
