"""Data sets as folders of image files, one folder a class."""

import os
from pathlib import Path

import numpy as np

from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.data.contents import Contents, FoundDataset, Split
from df_heads.integrations.files.listing import (
    SUFFIXES,
    file_line,
    is_folder,
    is_picture,
    pictures_below,
)
from df_heads.integrations.files.pictures import open_rgb


def locate_folder(root: Path, test_splits: tuple[str, ...]) -> FoundDataset:
    """Find root/train/<class>/* and the test split beside it."""
    test_folder = next((root / s for s in test_splits if (root / s).is_dir()), None)
    if test_folder is None:
        raise InputError(
            f"{root} has a train folder but no {' or '.join(test_splits)} folder beside it: move "
            f"some images of every class to {root / test_splits[0]}/<class>/"
        )
    if test_folder.samefile(root / "train"):
        raise InputError(
            f"{test_folder} and {root / 'train'} are one folder: no image was held back to test "
            "with; give the test split images of its own"
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
    lines = [file_line(path, root) for path in used + train_extra + test_extra]
    return FoundDataset(tuple(sorted(lines)), read)


def _folder_split(files: dict[str, list[Path]], classes: tuple[str, ...]) -> Split:
    """Order the files by class, then by path."""
    pairs = [(path, label) for label, name in enumerate(classes) for path in files.get(name, [])]
    paths = [path for path, _ in pairs]
    return Split(
        np.array([label for _, label in pairs], dtype=np.int64),
        lambda index: open_rgb(paths[index]),
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
    stray = [child.name for child in children if is_picture(child.name) and child.is_file()]
    if stray:
        raise InputError(
            f"{folder} has {_some(stray)} outside any class: move every image to {folder}/<class>/"
        )
    folders = [child for child in children if is_folder(child)]
    places: dict[str, Path] = {}
    for child in folders:
        other = places.setdefault(os.path.realpath(child), child)
        if other is not child:
            raise InputError(
                f"{child} and {other} are one folder under two names: remove one of the links"
            )
    classes = {child.name: pictures_below(child) for child in folders}
    if not any(classes.values()):
        raise InputError(
            f"{folder} holds no images: put them in {folder}/<class>/ with one of the endings "
            f"{' '.join(SUFFIXES)}"
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
    try:
        lines = annotations.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{annotations} is no text ({error}): unpack the archive again") from error
    for number, line in enumerate(lines, start=1):
        fields = line.split("\t")
        if len(fields) < 2:
            raise InputError(
                f"line {number} of {annotations} is {line!r} instead of an image and its class, "
                "separated by a tab: unpack the archive again"
            )
        classes.setdefault(fields[1], []).append(images / fields[0])
    annotated = {path for files in classes.values() for path in files}
    differing = sorted(path.name for path in annotated.symmetric_difference(pictures_below(images)))
    if len(annotated) < len(lines):
        raise InputError(
            f"{annotations} names an image twice in its {len(lines)} lines: unpack the archive "
            "again"
        )
    if differing or not annotated:
        raise InputError(
            f"{annotations} and {images} do not list the same images ({_some(differing)}): unpack "
            "the archive again"
        )
    return {name: sorted(files) for name, files in classes.items()}


def _some(names: list[str]) -> str:
    """Name the first few of a list."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
