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
# Images all the same: to pass over them would be to lose them.
OTHER_SUFFIXES = (".heic", ".heif", ".jp2", ".j2k", ".jxl", ".jfif", ".tga", ".ico", ".pcx")


def pictures_below(folder: Path) -> list[Path]:
    """List the image files below a folder, sorted; hidden files and folders do not count.

    Raises:
        InputError: If a link leads to nothing or to a folder that is listed already, or an image
            has an ending that is not read.
    """
    found: list[str] = []
    waiting, reached = [str(folder)], {os.path.realpath(folder)}
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if not is_folder(entry):
                    if entry.name.lower().endswith(OTHER_SUFFIXES):
                        raise InputError(
                            f"{entry.path} has an ending that is not read: save it with one of "
                            f"{' '.join(SUFFIXES)}, or move it away"
                        )
                    found += [entry.path] if is_picture(entry.name) else []
                    continue
                real = os.path.realpath(entry.path)
                if real in reached:
                    raise InputError(
                        f"{entry.path} leads to a folder that is listed already, whose images "
                        "would count again: remove the link"
                    )
                reached.add(real)
                waiting.append(entry.path)
    return [Path(file) for file in sorted(found)]


def is_folder(entry: "os.DirEntry[str] | Path") -> bool:
    """Whether it is a folder or a link to one.

    Raises:
        InputError: If it is a link to nothing: was it a folder of images?
    """
    if entry.is_symlink() and not Path(entry).exists():
        raise InputError(f"{Path(entry)} is a link to nothing: repair or remove it")
    return entry.is_dir()


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
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): mend or remove it") from error
    if not stat.S_ISREG(facts.st_mode):
        raise InputError(f"{path} is no ordinary file: remove it")
    # Path.relative_to takes longer than stat itself.
    relative = str(path)[len(str(root)) + 1 :]
    return f"{relative} {facts.st_size} {facts.st_mtime_ns}"
