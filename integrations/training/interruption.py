"""Signals that ask a script to stop: Ctrl+C, a scheduler's SIGTERM, Slurm's --signal=USR1.

Outside training they end the script at once: nothing is lost, files appear whole or not at all.
Training postpones them to the end of its step, and writes a checkpoint first.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

#: What Slurm sends for --signal=USR1@SECONDS; Windows has no such signal.
TIME_IS_UP = getattr(signal, "SIGUSR1", None)
SIGNALS = tuple(s for s in (signal.SIGINT, signal.SIGTERM, TIME_IS_UP) if s is not None)
#: Terminals, launchers and schedulers often send one request twice, to a group and to a process.
_SECONDS_OF_ONE_REQUEST = 2.0
#: Slurm's own job number, or that of a task of a job array.
_JOB, _ARRAY_JOB, _ARRAY_TASK = "SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID"


class Interrupted(BaseException):
    """The script was asked to stop.

    Args:
        signum: By which signal.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum

    @property
    def exit_code(self) -> int:
        """What shells make of a process that ended by this signal."""
        return 128 + self.signum

    def __str__(self) -> str:
        name = "Ctrl+C" if self.signum == signal.SIGINT else signal.Signals(self.signum).name
        return f"stopped by {name}; the same command goes on from the last checkpoint"


class _State:
    """What this process was asked, and by which of its handlers it listens."""

    def __init__(self) -> None:
        self.owner = 0
        self.postponing = False
        self.received: int | None = None
        self.when = 0.0


_state = _State()


@contextmanager
def interruptible() -> Iterator[None]:
    """Inside the block the first signal raises Interrupted, and the second ends the process."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread can have handlers
        return
    before = {signum: signal.getsignal(signum) for signum in SIGNALS}
    _state.received, _state.postponing = None, False
    listen()
    try:
        yield
    finally:
        asked = received() is not None
        for signum, handler in before.items():
            # Asked to stop it is on its way out, which a repeated request must not cut off.
            signal.signal(signum, signal.SIG_IGN if asked else handler or signal.SIG_DFL)
        _state.owner = 0


@contextmanager
def stoppable() -> Iterator[None]:
    """For a function that trains: inside the block signals are taken as in `interruptible`.

    Without effect inside `interruptible`, where the script's answer counts.

    Raises:
        KeyboardInterrupt: If Ctrl+C came.
        SystemExit: If another signal came.
    """
    if listening() or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {signum: signal.getsignal(signum) for signum in SIGNALS}
    try:
        with interruptible():
            yield
    except Interrupted as stop:
        if stop.signum == signal.SIGINT:
            raise KeyboardInterrupt(str(stop)) from None
        raise SystemExit(stop.exit_code) from None
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler or signal.SIG_DFL)


@contextmanager
def postponed() -> Iterator[None]:
    """Inside the block the first signal waits; see `received`.

    Without effect outside `interruptible`: a library does not take its user's signals.

    Raises:
        Interrupted: At the end of the block, if a signal came and nobody asked.
    """
    if _state.owner != os.getpid():
        yield
        return
    _state.postponing = True
    try:
        yield
    finally:
        _state.postponing = False
    if _state.received is not None:
        raise Interrupted(_state.received)


def listen() -> None:
    """Take the signals, also back from a library that took them meanwhile."""
    if threading.current_thread() is threading.main_thread():
        _state.owner = os.getpid()
        for signum in SIGNALS:
            signal.signal(signum, _handle)


def listening() -> bool:
    """Whether this process is inside `interruptible`."""
    return _state.owner == os.getpid()


def received() -> int | None:
    """The signal that waits; None if none does."""
    return _state.received if listening() else None


def requeue(signum: int) -> str | None:
    """Put this Slurm job back into the queue if its time is running out (--signal=USR1@SECONDS).

    Slurm itself requeues preempted jobs, which get SIGTERM.

    Returns:
        What became of it, in one sentence; None if there is nothing to do.
    """
    job = os.environ.get(_JOB)
    if signum != TIME_IS_UP or job is None:
        return None
    if _ARRAY_JOB in os.environ and _ARRAY_TASK in os.environ:
        job = f"{os.environ[_ARRAY_JOB]}_{os.environ[_ARRAY_TASK]}"
    try:
        subprocess.run(
            ["scontrol", "requeue", job], check=True, capture_output=True, text=True, timeout=60
        )
    except (OSError, subprocess.SubprocessError) as error:
        return f"scontrol requeue {job} failed ({error}); submit the job again."
    return f"job {job} is in the queue again."


def _handle(signum: int, frame: FrameType | None) -> None:
    if _state.owner != os.getpid():
        return  # a worker process, which its parent ends
    now = time.monotonic()
    if _state.received is None:
        _state.received, _state.when = signum, now
        if not _state.postponing:
            raise Interrupted(signum)
        _say("stopping after this step; a checkpoint is written first")
    elif now - _state.when > _SECONDS_OF_ONE_REQUEST:
        _say("stopped at once; the same command goes on from the last checkpoint")
        os._exit(128 + signum)


def _say(sentence: str) -> None:
    """Print from a signal handler, which may have interrupted a print."""
    os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, f"\n{sentence}\n".encode())
