"""Picture files below a folder, without opening them."""

import os
import stat
from pathlib import Path

from df_heads.integrations.errors import InputError

# torchvision.datasets.folder.IMG_EXTENSIONS, and two that Pillow reads as well.
SUFFIXES = (
    *(".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp"),
    *(".gif", ".avif"),
)


def pictures_below(folder: Path) -> list[Path]:
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
                    found += [entry.path] if is_picture(entry.name) else []
                    continue
                real = os.path.realpath(entry.path)
                if real in above:
                    raise InputError(
                        f"{entry.path} leads back to a folder that it is in: remove the link"
                    )
                waiting.append((entry.path, above | {real}))
    return [Path(file) for file in sorted(found)]


def is_picture(name: str) -> bool:
    """Whether a file of that name counts as a picture."""
    return not name.startswith(".") and name.lower().endswith(SUFFIXES)


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
