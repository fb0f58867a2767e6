"""Which pictures a folder holds, what their classes are and which are for testing, by its shape."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from df_heads.integrations.errors import InputError
from df_heads.integrations.files.listing import SUFFIXES, file_line, pictures_below

TRAIN_NAMES = ("train", "training")
TEST_NAMES = ("test", "testing", "val", "valid", "validation")


@dataclass(frozen=True)
class FoundPictures:
    """Picture files, not yet opened.

    Attributes:
        folder: Where they are.
        files: All of them, sorted; those for testing last.
        classes: Names of the classes; None without labels.
        labels: Position in classes of each file; empty without labels.
        tests: How many of the files, the last ones, the folder sets apart for testing.
    """

    folder: Path
    files: tuple[Path, ...]
    classes: tuple[str, ...] | None
    labels: tuple[int, ...]
    tests: int


def find_pictures(folder: Path) -> FoundPictures:
    """Find the pictures of a folder of any shape.

    With train/ and test/ (or val/), or the like, these are the two splits, else all pictures are
    one. Two or more folders with pictures below a split are its classes, each with what lies in it
    at any depth; a single folder in between, such as images/, is passed through. Pictures beside
    folders, or all in one folder, have no labels.

    Args:
        folder: Any folder.

    Raises:
        InputError: If it is not there, holds no pictures, or its splits differ in their classes.
    """
    folder = folder.expanduser()
    if not folder.is_dir():
        what = "is no folder" if folder.exists() else "does not exist"
        raise InputError(f"{folder} {what}: give a folder of pictures.")
    root = _innermost(folder)
    train, test = (_split(root, names) for names in (TRAIN_NAMES, TEST_NAMES))
    if train is None:
        train, test = root, None
    files = pictures_below(train)
    if not files:
        raise InputError(
            f"{train} holds no pictures: put some there, with one of the endings "
            f"{' '.join(SUFFIXES)}."
        )
    for file in files:
        file_line(file, folder)  # what is no ordinary file, such as a named pipe, never ends
    names = _classes(_innermost(train), files)
    tests = [] if test is None else pictures_below(test)
    if test is None or not tests:
        return _found(folder, _innermost(train), files, names, 0)
    labelled_test = _root_of_classes(test, tests, names)
    if names and labelled_test is None and (others := _classes(_innermost(test), tests)):
        unknown = sorted(set(others) - set(names))[0]
        raise InputError(
            f"{test} has the class {unknown!r} that {train} lacks: both parts must have the same "
            "classes."
        )
    if not names or labelled_test is None:
        return _found(folder, root, [*files, *tests], (), len(tests))
    parts = ((_innermost(train), files), (labelled_test, tests))
    labels = [_label(file, part, names) for part, ours in parts for file in ours]
    return FoundPictures(folder, (*files, *tests), names, tuple(labels), len(tests))


def _found(
    folder: Path, root: Path, files: Sequence[Path], names: tuple[str, ...], tests: int
) -> FoundPictures:
    labels = tuple(_label(file, root, names) for file in files) if names else ()
    return FoundPictures(folder, tuple(files), names or None, labels, tests)


def _split(root: Path, names: Sequence[str]) -> Path | None:
    """The folder of a split, whatever the case of its name."""
    folders = {child.name.lower(): child for child in root.iterdir() if child.is_dir()}
    return next((folders[name] for name in names if name in folders), None)


def _innermost(folder: Path) -> Path:
    """The folder itself, or the only one in it as long as there is nothing else to see."""
    while True:
        with_pictures = [
            child
            for child in sorted(folder.iterdir())
            if child.is_dir() and not child.name.startswith(".") and pictures_below(child)
        ]
        beside = len(pictures_below(folder)) - sum(len(pictures_below(c)) for c in with_pictures)
        if len(with_pictures) != 1 or beside:
            return folder
        folder = with_pictures[0]


def _classes(root: Path, files: Sequence[Path]) -> tuple[str, ...]:
    """Names of the folders in root that hold pictures; none if fewer than 2, or pictures beside."""
    parts = [file.relative_to(root).parts for file in files]
    names = sorted({part[0] for part in parts if len(part) > 1})
    beside = any(len(part) == 1 for part in parts)
    return () if beside or len(names) < 2 else tuple(names)


def _root_of_classes(folder: Path, files: Sequence[Path], names: tuple[str, ...]) -> Path | None:
    """The folder, or one that it passes through, whose folders with pictures are classes of these.

    A test part may lack classes, so that even a single folder in it can be one.
    """
    innermost = _innermost(folder)
    through = [p for p in (innermost, *innermost.parents) if p.is_relative_to(folder)]
    for root in reversed(through):
        parts = [file.relative_to(root).parts for file in files]
        if all(len(part) > 1 and part[0] in names for part in parts):
            return root
    return None


def _label(file: Path, root: Path, names: tuple[str, ...]) -> int:
    return names.index(file.relative_to(root).parts[0])
