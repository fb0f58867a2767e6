"""NT-Xent alone: lightly's loss against the one in row chunks, time and memory."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import torch
from lightly.loss import NTXentLoss
from torch import Tensor

from df_heads.benchmarks.harness.speed.measuring import (
    MakePass,
    Pass,
    log_slope,
    peak_memory,
    summary,
    time_in_turn,
)
from df_heads.nt_xent import ChunkedNTXentLoss

WIDTH, TEMPERATURE = 128, 0.2  # of the paper's small head; the paper's
LIGHTLY, CHUNKED = "lightly", "in row chunks"


def measure_losses(
    samples: Sequence[int], device: torch.device, *, repeats: int, chunk_size: int
) -> dict[str, Any]:
    """Forward and backward of both losses.

    Args:
        samples: Projections in the loss, 2N for N images; even.
        device: Where.
        repeats: Timed passes of each.
        chunk_size: Rows of the similarities held at a time.

    Returns:
        {"losses": {name: {"milliseconds": [Timing], "memory_mib": [...], "time_slope": ...,
        "memory_slope": ...}}, ...}, the lists in the order of `samples`.
    """
    makers: dict[str, MakePass] = {
        LIGHTLY: lightly_pass,
        CHUNKED: partial(chunked_pass, chunk_size=chunk_size),
    }
    timings: dict[str, list[Any]] = {name: [] for name in makers}
    for size in samples:
        passes = {name: make(size, device) for name, make in makers.items()}
        for name, times in time_in_turn(passes, device, repeats=repeats).items():
            timings[name].append(summary(times))
    losses = {}
    for name, make in makers.items():
        peaks = peak_memory(make, samples, device)
        losses[name] = {
            "milliseconds": [asdict(timing) for timing in timings[name]],
            "memory_mib": peaks,
            "time_slope": log_slope(samples, [timing.median for timing in timings[name]]),
            "memory_slope": log_slope(samples, peaks),
        }
    return {
        "samples": list(samples),
        "chunk_size": chunk_size,
        "width": WIDTH,
        "repeats": repeats,
        "losses": losses,
    }


def lightly_pass(samples: int, device: torch.device) -> Pass:
    """One forward and backward pass of lightly's loss over so many samples (2N)."""
    return _pass(NTXentLoss(TEMPERATURE), samples, device)


def chunked_pass(samples: int, device: torch.device, *, chunk_size: int) -> Pass:
    """The same of the loss in row chunks."""
    return _pass(ChunkedNTXentLoss(TEMPERATURE, chunk_size=chunk_size), samples, device)


def _pass(loss: Callable[[Tensor, Tensor], Tensor], samples: int, device: torch.device) -> Pass:
    z0, z1 = torch.randn(2, samples // 2, WIDTH, device=device).unbind()
    leaves = (z0.requires_grad_(), z1.requires_grad_())

    def one_pass() -> None:
        torch.autograd.grad(loss(*leaves), leaves)

    return one_pass
