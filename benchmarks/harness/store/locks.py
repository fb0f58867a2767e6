"""Locks on cells, so that many processes can fill one results folder.

A lock is one of the operating system (`filelock`, which comes with torch): the kernel frees it when
its process ends, however it ends, so a killed job leaves nothing to clean up and nobody waits for
it. Where many nodes share a file system without locks between nodes, give each its own `--shard`.
"""

import errno
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from df_heads.integrations.files.atomic import write_whole


@dataclass(frozen=True)
class Owner:
    """Who holds, or last held, a lock.

    Attributes:
        host: Name of its machine.
        pid: Number of its process there.
        since: When it got the lock, in seconds since 1970.
    """

    host: str
    pid: int
    since: float


@contextmanager
def wait_for_lock(file: Path) -> Iterator[None]:
    """Hold the lock `file` inside the block; waits until it is free.

    Where nothing can be written there is nothing to guard, and no lock.
    """
    lock = FileLock(file)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        if error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise
    try:
        yield
    finally:
        lock.release()


@contextmanager
def try_lock(file: Path) -> Iterator[bool]:
    """Hold the lock `file` inside the block if it is free; never waits.

    Yields:
        Whether this process holds it. If not, another process does, or this one already.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(file)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        owner = Owner(socket.gethostname(), os.getpid(), time.time())
        content = json.dumps(asdict(owner)).encode()
        write_whole(_owner_file(file), lambda stream: stream.write(content))
        yield True
    finally:
        lock.release()


def lock_owner(file: Path) -> Owner | None:
    """Who holds the lock `file`; None if nobody does."""
    if not file.exists():
        return None
    lock = FileLock(file)
    with suppress(Timeout):
        lock.acquire(timeout=0)
        lock.release()
        return None
    try:
        return Owner(**json.loads(_owner_file(file).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):  # its holder is about to write it
        return Owner("?", 0, time.time())


def _owner_file(file: Path) -> Path:
    """Beside the lock: filelock keeps the lock's own file to itself."""
    return file.with_suffix(".owner.json")
