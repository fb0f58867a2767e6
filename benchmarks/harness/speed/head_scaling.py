"""Time and memory of the head against the number of samples, whole and in shorter sequences."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from typing import Any

import torch
from torch.nn.attention import SDPBackend

from df_heads.benchmarks.harness.speed.compared import WIDTH
from df_heads.benchmarks.harness.speed.head_peers import small_head
from df_heads.benchmarks.harness.speed.head_speed import (
    autocast,
    measure_backends,
    our_pass,
)
from df_heads.benchmarks.harness.speed.measuring import (
    Pass,
    log_slope,
    peak_memory,
    summary,
    time_in_turn,
)
from df_heads.sdpa_backends import backends_that_run, kernels_in_order

SEQUENCE_LENGTH = 1024
MOST, MOST_IN_ONE_ON_CPU = 65_536, 8192
WHOLE, CHUNKED = "one sequence", f"sequence_length={SEQUENCE_LENGTH}"


def default_tokens(device: torch.device, most: int | None = None) -> tuple[list[int], list[int]]:
    """Samples for one sequence and for shorter ones: a pass takes a minute at most on a CPU.

    Args:
        device: Where they will run.
        most: No more than these, at least 8192.
    """
    most = MOST if most is None else min(most, MOST)
    if device.type == "cuda":
        return _up_to(most, step=2), _up_to(most, step=2)
    return _up_to(min(most // 4, MOST_IN_ONE_ON_CPU), step=2), _up_to(most, step=4)


def measure_scaling(
    whole: Sequence[int],
    chunked: Sequence[int],
    device: torch.device,
    *,
    repeats: int,
    precision: str,
) -> dict[str, Any]:
    """One training pass of the small head, over more and more samples.

    Args:
        whole: Samples of the passes over one sequence, ascending.
        chunked: Samples of the passes over sequences of SEQUENCE_LENGTH, ascending.
        device: Where.
        repeats: Timed passes of each.
        precision: "32-true" or "bf16-mixed".
    """
    curves = {}
    for name, tokens, length in (WHOLE, whole, None), (CHUNKED, chunked, SEQUENCE_LENGTH):
        make = partial(our_pass, precision=precision, sequence_length=length)
        with fused_kernels(tokens[0], device, precision, sequence_length=length) as kernels:
            timings = [summary(_time(make(n, device), device, repeats)) for n in tokens]
            peaks = peak_memory(make, tokens, device)
        curves[name] = {
            **kernels,
            "tokens": list(tokens),
            "milliseconds": [asdict(timing) for timing in timings],
            "memory_mib": peaks,
            "time_slope": log_slope(tokens, [timing.median for timing in timings]),
            "memory_slope": log_slope(tokens, peaks),
        }
    return {"repeats": repeats, "precision": precision, "curves": curves}


def _time(one_pass: Pass, device: torch.device, repeats: int) -> list[float]:
    burn_in = 2 if device.type == "cuda" else 1  # a pass over many samples takes long on a CPU
    return time_in_turn({"": one_pass}, device, repeats=repeats, burn_in=burn_in)[""]


@contextmanager
def fused_kernels(
    tokens: int, device: torch.device, precision: str, **options: Any
) -> Iterator[dict[str, Any]]:
    """Within it the fastest fused kernel runs; gives what `measure_backends` found."""
    found = measure_backends(tokens, device, repeats=3, precision=precision, **options)
    # MATH may win at few samples, but not at many: its memory is quadratic.
    fused = [getattr(SDPBackend, name) for name in found["backends"] if name != "MATH"]
    head = small_head(**options).to(device)
    x = torch.randn(1, tokens, WIDTH, device=device)
    with kernels_in_order(fused or [SDPBackend.MATH]):
        with autocast(device, precision):
            ran = backends_that_run(head, x)
        yield {**found, "ran": [backend.name for backend in ran]}


def _up_to(most: int, *, step: int) -> list[int]:
    sizes = [SEQUENCE_LENGTH]
    while sizes[-1] * step <= most:
        sizes.append(sizes[-1] * step)
    return sizes
