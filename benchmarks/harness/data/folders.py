"""Data sets as folders of image files, one folder a class."""

import os
from pathlib import Path

import numpy as np
from PIL import Image

from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.data.contents import Contents, FoundDataset, Split, file_line

# The readers of Pillow that these endings mean. A file's content chooses among them, not its name,
# and other readers start programs: a PostScript file starts Ghostscript.
FORMATS = ("JPEG", "PNG", "PPM", "BMP", "TIFF", "WEBP", "GIF", "AVIF")
# torchvision.datasets.folder.IMG_EXTENSIONS, and two that Pillow reads as well.
IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp"),
    *(".gif", ".avif"),
)


def locate_folder(root: Path, test_splits: tuple[str, ...]) -> FoundDataset:
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
    lines = [file_line(path, root) for path in used + train_extra + test_extra]
    return FoundDataset(tuple(sorted(lines)), read)


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
    """List the image files below a folder, sorted; hidden files and folders do not count.

    Raises:
        InputError: If a link leads back to a folder that it is in.
    """
    found: list[str] = []
    # Each folder, and the real paths of all that it is in.
    waiting = [(str(folder), frozenset((os.path.realpath(folder),)))]
    while waiting:
        parent, above = waiting.pop()
        with os.scandir(parent) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if not entry.is_dir():
                    found += [entry.path] if _is_image(entry.name) else []
                    continue
                real = os.path.realpath(entry.path)
                if real in above:
                    raise InputError(
                        f"{entry.path} leads back to a folder that it is in: remove the link"
                    )
                waiting.append((entry.path, above | {real}))
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
        with Image.open(path, formats=FORMATS) as image:
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
    except Exception as error:  # whatever the damage leads to in one of Pillow's decoders
        raise InputError(
            f"image {path} cannot be decoded ({error}): replace or remove it"
        ) from error
