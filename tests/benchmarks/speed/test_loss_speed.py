import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from df_heads.benchmarks import run_speed
from df_heads.benchmarks.harness.plan.flags import run_script
from df_heads.benchmarks.harness.speed import loss_speed
from df_heads.benchmarks.harness.speed.measuring import MakePass


def test_both_losses_are_measured_printed_and_stored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def peaks(make: MakePass, sizes: Sequence[int], device: torch.device) -> list[float]:
        make(sizes[0], device)()
        return [size**2 / 1024 for size in sizes]

    # New processes take seconds each; test_measuring has some.
    monkeypatch.setattr(loss_speed, "peak_memory", peaks)
    arguments = ["--parts", "loss", "--loss-samples", "128", "64", "--loss-chunk-size", "48"]
    arguments += ["--repeats", "2", "--device", "cpu", "--out-dir", str(tmp_path)]
    assert run_script(run_speed.main, arguments) == 0
    content = json.loads((tmp_path / "speed-loss-cpu.json").read_text())
    assert content["samples"] == [64, 128]
    assert content["environment"]["hardware"]
    printed = " ".join(capsys.readouterr().out.split())
    for name in ("lightly", "in row chunks"):
        loss = content["losses"][name]
        assert loss["memory_mib"] == [4, 16]
        assert loss["memory_slope"] == pytest.approx(2)
        timing = loss["milliseconds"][1]
        assert 0 < timing["low"] <= timing["median"] <= timing["high"]
        assert f"| {name} | 128 | {timing['median']:.1f} |" in printed
        assert f"{name}: log-log slope of time {loss['time_slope']:.2f}" in printed
