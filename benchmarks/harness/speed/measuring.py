"""Time and peak memory of things that are compared."""

import math
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch

from df_heads.benchmarks.harness.base.errors import InputError

CLEAR_REFS = Path("/proc/self/clear_refs")

Pass = Callable[[], None]
#: Makes a pass of a size on a device; a new process imports it by name.
MakePass = Callable[[int, torch.device], Pass]


@dataclass(frozen=True)
class Timing:
    """Milliseconds of one pass: median, smallest and largest of the repeats."""

    median: float
    low: float
    high: float


def summary(times: Sequence[float]) -> Timing:
    """Median and range."""
    return Timing(statistics.median(times), min(times), max(times))


def log_slope(sizes: Sequence[int], values: Sequence[float]) -> float:
    """Slope of the least-squares line through log(value) over log(size): 1 linear, 2 quadratic."""
    x, y = [math.log(size) for size in sizes], [math.log(value) for value in values]
    return statistics.linear_regression(x, y).slope


def time_in_turn(
    passes: Mapping[str, Pass], device: torch.device, *, repeats: int, burn_in: int = 2
) -> dict[str, list[float]]:
    """Milliseconds of each repeat of each pass, taken in turn, so that drift hits them alike."""
    for one_pass in passes.values():  # allocations, kernel choice
        for _ in range(burn_in):
            one_pass()
    times: dict[str, list[float]] = {name: [] for name in passes}
    for _ in range(repeats):
        for name, one_pass in passes.items():
            _wait(device)
            started = time.perf_counter()
            one_pass()
            _wait(device)
            times[name].append(1e3 * (time.perf_counter() - started))
    return times


def peak_memory(make: MakePass, sizes: Sequence[int], device: torch.device) -> list[float]:
    """MiB that one pass adds at its peak, for each size.

    Args:
        make: Makes the pass; a function of a module, as new processes call it.
        sizes: What to give it.
        device: Where the pass runs.

    Raises:
        InputError: On a CPU without Linux's /proc.
    """
    if device.type == "cuda":
        return [_peak_on_cuda(make, size, device) for size in sizes]
    if not CLEAR_REFS.exists():
        raise InputError(f"peak memory is read from {CLEAR_REFS}, on Linux only; run it there.")
    # A new process each, so that none finds memory that another one left; all are forked from one
    # that has imported what they need and done nothing else.
    fork_server = multiprocessing.get_context("forkserver")
    fork_server.set_forkserver_preload([n for n in sys.modules if n.startswith("df_heads")])
    peaks = []
    for size in sizes:
        with ProcessPoolExecutor(1, mp_context=fork_server) as pool:
            peaks.append(pool.submit(_peak_of_process, make, size).result())
    return peaks


def _peak_on_cuda(make: MakePass, size: int, device: torch.device) -> float:
    one_pass = make(size, device)
    one_pass()
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    one_pass()
    return (torch.cuda.max_memory_allocated(device) - before) / 2**20


def _peak_of_process(make: MakePass, size: int) -> float:
    device = torch.device("cpu")
    # A small pass first: libraries and threads are not what grows with the size.
    make(64, device)()
    one_pass = make(size, device)
    CLEAR_REFS.write_text("5")  # the peak becomes what is resident now: man 5 proc
    before = _peak_kib()
    one_pass()
    return (_peak_kib() - before) / 2**10


def _peak_kib() -> int:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
