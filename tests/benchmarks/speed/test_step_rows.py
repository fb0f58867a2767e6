import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from df_heads.benchmarks.harness.speed import step_rows
from df_heads.benchmarks.harness.speed.step_rows import PREFETCH, Setup, lightly_pipeline

SETUP = Setup("test_resnet", "feedforward-small", 2, torch.device("cpu"), "32-true", 1)


def transform(seconds: float) -> Callable[..., Any]:
    """A stand-in for SimCLRTransform whose two views take so long."""

    def make(**_: Any) -> Callable[[Any], list[Tensor]]:
        def views(_: Any) -> list[Tensor]:
            time.sleep(seconds)
            return [torch.zeros(1), torch.zeros(1)]

        return views

    return make


def test_what_slow_workers_had_ready_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_rows, "SimCLRTransform", transform(0.05))
    block = lightly_pipeline(SETUP, train=False)
    for _ in range(2):
        assert block(3) > 0.6 * 3 * 2 * 0.05  # with two batches ready: a third of it


def test_workers_that_wait_for_training_are_not_drained(monkeypatch: pytest.MonkeyPatch) -> None:
    updates = 0

    def update(views: list[Tensor]) -> None:
        nonlocal updates
        updates += 1
        time.sleep(0.2)

    monkeypatch.setattr(step_rows, "SimCLRTransform", transform(0))
    monkeypatch.setattr(step_rows, "eager_update", lambda *_: update)
    monkeypatch.setattr(step_rows, "WAITING", 0.5)  # a busy machine makes workers late
    block = lightly_pipeline(SETUP)
    block(1)
    assert updates == PREFETCH + 1 + 1  # what was ready, one for each worker to see who waits, one
    block(2)
    assert updates == PREFETCH + 4
