"""The head alone: its kernels, its peers and its memory."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from df_heads.benchmarks.harness.speed.compared import OURS, WIDTH
from df_heads.benchmarks.harness.speed.head_peers import narrow_group, small_head, wide_group
from df_heads.benchmarks.harness.speed.measuring import (
    Pass,
    log_slope,
    peak_memory,
    summary,
    time_in_turn,
)
from df_heads.sdpa_backends import backends_that_run, fastest_first, kernels_in_order, time_backends


def measure_head(
    tokens: int,
    memory_tokens: Sequence[int],
    device: torch.device,
    *,
    repeats: int,
    precision: str,
) -> dict[str, Any]:
    """Time the head against its peers and measure its memory.

    Args:
        tokens: Samples of the timed passes.
        memory_tokens: Samples of the passes whose memory is measured.
        device: Where.
        repeats: Timed passes of each head.
        precision: "32-true" or "bf16-mixed".

    Raises:
        InputError: If x-transformers is missing or a peer computes something else.
    """
    backends = measure_backends(tokens, device, repeats=repeats, precision=precision)
    x = torch.randn(1, tokens, WIDTH, device=device)
    milliseconds: dict[str, Any] = {}
    ratios: dict[str, float] = {}
    for shape, group in (("wide", wide_group()), ("narrow", narrow_group())):
        modules = {f"{name} ({shape})": module.to(device) for name, module in group.items()}
        passes = {name: head_pass(module, x, precision) for name, module in modules.items()}
        times = time_in_turn(passes, device, repeats=repeats)
        milliseconds |= {name: asdict(summary(values)) for name, values in times.items()}
        ours = times[f"{OURS} ({shape})"]
        ratios |= {
            name: statistics.median(a / b for a, b in zip(ours, values, strict=True))
            for name, values in times.items()
        }
    peaks = peak_memory(partial(our_pass, precision=precision), memory_tokens, device)
    return {
        "tokens": tokens,
        "repeats": repeats,
        "precision": precision,
        **backends,
        "milliseconds": milliseconds,
        "ratio": ratios,
        "memory_mib": dict(zip(map(str, memory_tokens), peaks, strict=True)),
        "memory_slope": log_slope(memory_tokens, peaks),
    }


def measure_backends(
    tokens: int, device: torch.device, *, repeats: int, precision: str, **options: Any
) -> dict[str, Any]:
    """Milliseconds of each kernel of attention, and those that run where the fastest may.

    `options` are those of the head.
    """
    head = small_head(**options).to(device)
    x = torch.randn(1, tokens, WIDTH, device=device)
    with autocast(device, precision):
        times = time_backends(head, x, repeats=repeats)
        with kernels_in_order(fastest_first(times)):
            ran = backends_that_run(head, x)
    return {
        "backends": {backend.name: value for backend, value in times.items()},
        "ran": [backend.name for backend in ran],
    }


def our_pass(tokens: int, device: torch.device, *, precision: str, **options: Any) -> Pass:
    """One forward and backward pass of our head over so many samples."""
    head = small_head(**options).to(device)
    return head_pass(head, torch.randn(1, tokens, WIDTH, device=device), precision)


def head_pass(module: nn.Module, x: Tensor, precision: str) -> Pass:
    """One forward and backward pass of a head."""

    def one_pass() -> None:
        module.zero_grad(set_to_none=False)
        with autocast(x.device, precision):
            loss = module(x).float().square().mean()
        torch.autograd.backward(loss)

    return one_pass


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """The autocast of a precision of Lightning's Trainer, "32-true" or "bf16-mixed"."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16-mixed")
