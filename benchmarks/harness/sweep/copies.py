"""What the copies of a script do that Lightning starts for --devices 2 and more.

Lightning starts the same command again for every further device, inside the first run that trains.
Only the first process takes locks and chooses what to run, which depends on what other processes
did meanwhile; it announces each choice in a file that its copies read.
"""

import atexit
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from df_heads.benchmarks.harness.base.errors import InputError

_VARIABLE = "DF_HEADS_ANNOUNCEMENTS"
_END = "end"
_SECONDS_BETWEEN_LOOKS = 0.2

# The file that this process, the first, announces in.
_file: Path | None = None
# The sweeps that were over before there was that file: copies start the script from its beginning.
_over_before = 0
# How many lines of it this process, a copy, has taken up: a script can hold many sweeps.
_lines_read = 0


def announce(key: str) -> None:
    """Tell the copies of this process, started or still to start, what to run next."""
    global _file
    if _file is None:
        handle, name = tempfile.mkstemp(prefix="df-heads-", suffix=".announcements")
        os.close(handle)
        os.environ[_VARIABLE] = name  # the copies inherit it
        _file = Path(name)
        atexit.register(_file.unlink, missing_ok=True)
        for _ in range(_over_before):
            announce(_END)
    with _file.open("a", encoding="utf-8") as stream:
        stream.write(f"{key}\n")


def announce_end() -> None:
    """Tell the copies that this sweep is over."""
    global _over_before
    if _file is None:
        _over_before += 1  # no copies yet, and perhaps never: no file either
    else:
        announce(_END)


def announced() -> Iterator[str]:
    """What this copy is to run, one after the other, until the sweep is over.

    Raises:
        InputError: If this process is no copy that Lightning started.
        SystemExit: If the first process is gone.
    """
    global _lines_read
    name = os.environ.get(_VARIABLE)
    if name is None:
        raise InputError(
            "this process was started as one of several ranks (torchrun, or srun with more than "
            "one task); start one process and give it --devices, or several with --shard."
        )
    first_process = os.getppid()
    while True:
        file = Path(name)
        # What follows the last line end is still being written.
        lines = file.read_text(encoding="utf-8").split("\n")[:-1] if file.exists() else []
        if _lines_read < len(lines):
            line = lines[_lines_read]
            _lines_read += 1
            if line == _END:
                return
            yield line
        elif os.getppid() != first_process:
            raise SystemExit(1)
        else:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
