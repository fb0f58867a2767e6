import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import nn

from df_heads.benchmarks import run_speed
from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.plan.flags import run_script
from df_heads.benchmarks.harness.speed import head_scaling, head_speed
from df_heads.benchmarks.harness.speed.compared import OURS, WIDTH
from df_heads.benchmarks.harness.speed.head_peers import (
    TOLERANCE,
    narrow_group,
    wide_group,
)
from df_heads.benchmarks.harness.speed.measuring import MakePass

CPU = torch.device("cpu")


@pytest.fixture
def no_new_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take seconds each; test_measuring has some."""

    def peaks(make: MakePass, sizes: Sequence[int], device: torch.device) -> list[float]:
        make(sizes[0], device)()
        return [size / 1024 for size in sizes]

    monkeypatch.setattr(head_speed, "peak_memory", peaks)
    monkeypatch.setattr(head_scaling, "peak_memory", peaks)


def test_peers_have_our_weights_and_gradients() -> None:
    x = torch.randn(1, 20, WIDTH)
    for group in (wide_group(), narrow_group()):
        inputs = []
        for module in group.values():
            leaf = x.clone().requires_grad_()
            z = module(leaf)
            inputs.append((z.detach(), *torch.autograd.grad(z.square().mean(), leaf)))
        for other in inputs[1:]:
            for a, b in zip(inputs[0], other, strict=True):
                torch.testing.assert_close(a, b, atol=TOLERANCE, rtol=0)


def test_a_peer_that_computes_something_else_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    forward = nn.TransformerEncoder.forward
    monkeypatch.setattr(
        nn.TransformerEncoder, "forward", lambda self, x: forward(self, x) * (1 + 1e-4)
    )
    with pytest.raises(InputError, match=r"nn.TransformerEncoder .* differ by .*, more than 1e-05"):
        narrow_group()


@pytest.mark.usefixtures("no_new_processes")
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_the_head_is_measured_printed_and_stored(
    precision: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--parts", "head", "--tokens", "16", "--repeats", "1", "--device", "cpu"]
    arguments += ["--memory-tokens", "32", "16", "--precision", precision]
    assert run_script(run_speed.main, [*arguments, "--out-dir", str(tmp_path)]) == 0
    content = json.loads((tmp_path / "speed-head-cpu.json").read_text())
    assert content["precision"] == precision
    assert content["ran"][0] in content["backends"]
    assert content["memory_slope"] == pytest.approx(1)
    printed = " ".join(capsys.readouterr().out.split())
    names = ["explicit softmax", "x-transformers, flash", "x-transformers", OURS]
    names = [f"{name} (wide)" for name in names]
    for name in [*names, f"{OURS} (narrow)", "nn.TransformerEncoder (narrow)"]:
        assert f"| {name} | {content['milliseconds'][name]['median']:.1f} |" in printed
    assert content["ratio"][f"{OURS} (wide)"] == 1
    assert f"ran: {content['ran'][0]}" in printed


@pytest.mark.usefixtures("no_new_processes")
def test_the_scaling_is_measured_drawn_and_stored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(head_scaling, "default_tokens", lambda *_: ([16, 32], [16, 64]))
    monkeypatch.setattr(head_scaling, "SEQUENCE_LENGTH", 8)
    arguments = ["--parts", "head-scaling", "--scaling-repeats", "1", "--device", "cpu"]
    assert run_script(run_speed.main, [*arguments, "--out-dir", str(tmp_path)]) == 0
    content = json.loads((tmp_path / "speed-head-scaling-cpu.json").read_text())
    printed = capsys.readouterr().out
    assert len(content["curves"]) == 2
    for name, curve in content["curves"].items():
        assert curve["ran"] == ["FLASH_ATTENTION"] or curve["backends"].keys() == {"MATH"}
        assert curve["memory_slope"] == pytest.approx(1)
        assert f"{name}: log-log slope of time {curve['time_slope']:.2f}" in printed
    drawn = (tmp_path / "speed-head-scaling-cpu.svg").read_text()
    assert "<svg" in drawn
    assert (tmp_path / "speed-head-scaling-cpu.png").stat().st_size > 1000


def test_sizes_of_the_scaling() -> None:
    whole, chunked = head_scaling.default_tokens(CPU)
    assert whole == [1024, 2048, 4096, 8192]
    assert chunked == [1024, 4096, 16_384, 65_536]
    whole, chunked = head_scaling.default_tokens(torch.device("cuda"))
    assert whole == chunked == [1024 * 2**k for k in range(7)]
    assert head_scaling.default_tokens(CPU, 8192) == ([1024, 2048], [1024, 4096])
    assert head_scaling.default_tokens(CPU, 10**6)[1][-1] == 65_536
