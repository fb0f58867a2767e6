from pathlib import Path

import pytest
import torch

from df_heads.benchmarks.harness.speed.measuring import (
    Pass,
    log_slope,
    peak_memory,
    summary,
    time_in_turn,
)

CPU = torch.device("cpu")


def hold(kib: int, device: torch.device) -> Pass:
    """A pass that touches so much memory and frees it."""

    def touch() -> None:
        torch.ones(kib * 256, device=device).sum().item()

    return touch


def test_slopes() -> None:
    assert log_slope([1, 2, 4], [3.0, 6.0, 12.0]) == pytest.approx(1)
    assert log_slope([1, 10], [1.0, 100.0]) == pytest.approx(2)


def test_passes_take_turns_after_the_burn_in() -> None:
    calls = ""

    def call(name: str) -> None:
        nonlocal calls
        calls += name

    passes = {name: lambda name=name: call(name) for name in "ab"}
    times = time_in_turn(passes, CPU, repeats=3, burn_in=2)
    assert calls == "aabb" + 3 * "ab"
    assert {name: len(values) for name, values in times.items()} == {"a": 3, "b": 3}
    timing = summary([3.0, 1.0, 2.0])
    assert (timing.low, timing.median, timing.high) == (1, 2, 3)


@pytest.mark.slow
def test_peak_memory_is_what_a_pass_held(monkeypatch: pytest.MonkeyPatch) -> None:
    # The new processes import this file, from the folder that its module's name starts at.
    monkeypatch.syspath_prepend(str(Path(__file__).parents[__name__.count(".")]))
    small, large = peak_memory(hold, [16 * 1024, 64 * 1024], CPU)
    assert small == pytest.approx(16, abs=4)
    assert large == pytest.approx(64, abs=4)
