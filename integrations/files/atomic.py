"""Files that appear whole or not at all, and what killed processes left of them."""

import os
import re
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

_TEMPORARY = re.compile(r"\.\d+\.tmp$")
#: A temporary file this old has no writer any more, whatever machine that ran on.
_SECONDS_UNTIL_STALE = 3600.0


def write_whole(file: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file beside its place, force it to the disk, then rename it.

    A process that is killed, or a disk that is full, leaves the earlier file as it was. The rename
    is within one folder, so never a copy from another file system.

    Args:
        file: Replaced if it is there.
        write: Writes the content.

    Raises:
        OSError: If it cannot be written; nothing is left behind.
    """
    temporary = file.with_name(f"{file.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(file)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    sync_folder(file.parent)


def sync_folder(folder: Path) -> None:
    """Force a folder's names to the disk, where its file system can."""
    with suppress(OSError):  # network file systems refuse it, and so does Windows
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def remove_stale(folder: Path, *, all_of_them: bool = False) -> None:
    """Remove what killed processes left of `write_whole` in a folder.

    Args:
        folder: Need not exist.
        all_of_them: Also those of this hour; for a folder that nobody else writes to now.
    """
    before = time.time() - _SECONDS_UNTIL_STALE
    with suppress(OSError):
        for file in folder.iterdir():
            if _TEMPORARY.search(file.name) is None:
                continue
            with suppress(OSError):
                if all_of_them or file.stat().st_mtime < before:
                    file.unlink()
