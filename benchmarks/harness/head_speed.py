"""Time and memory of a head alone: one forward and backward pass over N samples."""

import multiprocessing
import statistics
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from df_heads.benchmarks.harness.errors import InputError
from df_heads.heads import TransformerProjectionHead

WIDTH, LAYERS, HEADS, HEAD_DIM = 128, 5, 8, 64  # the paper's small head
CLEAR_REFS = Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Timing:
    """Milliseconds of one pass: median, smallest and largest of the repeats."""

    median: float
    low: float
    high: float


def build_ours() -> nn.Module:
    """The small head, tokens in and tokens out."""
    return TransformerProjectionHead(
        WIDTH, WIDTH, WIDTH, num_layers=LAYERS, num_heads=HEADS, head_dim=HEAD_DIM
    )


def build_x_transformers() -> nn.Module:
    """x-transformers' encoder of equal shape with its fused ("flash") attention.

    Raises:
        InputError: If x-transformers is not installed.
    """
    try:
        with warnings.catch_warnings():
            # It still uses torch.jit, which newer torch deprecates.
            warnings.simplefilter("ignore", FutureWarning)
            from x_transformers import Encoder
    except ImportError as error:
        raise InputError(
            "--head compares with x-transformers: pip install x-transformers"
        ) from error
    encoder: nn.Module = Encoder(
        dim=WIDTH,
        depth=LAYERS,
        heads=HEADS,
        attn_dim_head=HEAD_DIM,
        attn_flash=True,
        ff_mult=4,
        pre_norm=False,
    )
    return nn.Sequential(nn.Linear(WIDTH, WIDTH), encoder)


def time_alternately(
    modules: Mapping[str, nn.Module], tokens: int, *, device: torch.device, repeats: int
) -> dict[str, list[float]]:
    """Milliseconds of each repeat of each module, taken in turn, so that drift hits them alike."""
    x = torch.randn(1, tokens, WIDTH, device=device)
    passes = {name: _pass(module.to(device), x) for name, module in modules.items()}
    for one_pass in passes.values():  # burn-in: allocations, kernel choice
        one_pass()
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


def summary(times: Sequence[float]) -> Timing:
    """Median and range."""
    return Timing(statistics.median(times), min(times), max(times))


def peak_memory(tokens: Sequence[int], device: torch.device) -> list[float]:
    """MiB that one pass of our head adds at its peak, for each number of tokens."""
    if device.type == "cuda":
        return [_peak_on_cuda(n, device) for n in tokens]
    if not CLEAR_REFS.exists():
        raise InputError(f"peak memory is read from {CLEAR_REFS}, on Linux only; run it there.")
    # A new process each, so that none finds memory that another one left.
    spawn = multiprocessing.get_context("spawn")
    peaks = []
    for n in tokens:
        with ProcessPoolExecutor(1, mp_context=spawn) as pool:
            peaks.append(pool.submit(_peak_of_process, n).result())
    return peaks


def _peak_on_cuda(tokens: int, device: torch.device) -> float:
    one_pass = _pass(build_ours().to(device), torch.randn(1, tokens, WIDTH, device=device))
    one_pass()
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    one_pass()
    return (torch.cuda.max_memory_allocated(device) - before) / 2**20


def _peak_of_process(tokens: int) -> float:
    head = build_ours()
    # A small pass first: libraries, threads and gradients are not what grows with the tokens.
    _pass(head, torch.randn(1, 64, WIDTH))()
    one_pass = _pass(head, torch.randn(1, tokens, WIDTH))
    CLEAR_REFS.write_text("5")  # the peak becomes what is resident now: man 5 proc
    before = _peak_kib()
    one_pass()
    return (_peak_kib() - before) / 2**10


def _peak_kib() -> int:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


def _pass(module: nn.Module, x: Tensor) -> Callable[[], None]:
    def one_pass() -> None:
        module.zero_grad(set_to_none=False)
        torch.autograd.backward(module(x).square().mean())

    return one_pass


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
