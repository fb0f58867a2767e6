import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB; only root can mount one."""
    yield from _mounted(tmp_path, "size=1m")


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    """Another file system than that of tmp_path; only root can mount one."""
    yield from _mounted(tmp_path, "size=256m")


def _mounted(tmp_path: Path, options: str) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
    if os.name != "posix" or os.geteuid() != 0 or subprocess.run(mount, check=False).returncode:
        pytest.skip("mounting a file system is not allowed here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)
