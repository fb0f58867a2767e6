import dataclasses
import re
from typing import Any

import pytest
import torch

from df_heads.benchmarks import run_controls
from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.base.experiment import Experiment
from df_heads.benchmarks.harness.plan.flags import run_script
from df_heads.benchmarks.harness.speed import equal_time
from df_heads.benchmarks.harness.speed.equal_time import find_width, head_pass, time_ratios
from df_heads.benchmarks.harness.train.models import build_model

CPU = torch.device("cpu")
TINY = Experiment(
    "digits", "feedforward-small", backbone="test_resnet", image_size=16, batch_size=16
)


@pytest.mark.parametrize("wanted", [16, 40, 300, 512, 513, 1000, 5000, 60000])
def test_the_width_is_found_by_its_time(wanted: int) -> None:
    asked = []

    def ratio(width: int) -> float:
        asked.append(width)
        return (width / wanted) ** 1.5

    width = find_width(ratio)
    assert width % 16 == 0
    assert abs(width - wanted) <= max(16, 0.03 * wanted)
    assert len(set(asked)) == len(asked) <= 15


@pytest.mark.parametrize(("ratio", "message"), [(1.5, "1.50 times .* of 16;"), (0.5, "of 65536;")])
def test_no_width_gets_one_sentence(ratio: float, message: str) -> None:
    with pytest.raises(InputError, match=message):
        find_width(lambda _: ratio)


def test_both_are_timed_in_turn() -> None:
    order: list[str] = []
    ratios = time_ratios(lambda: order.append("a"), lambda: order.append("b"), CPU, 3)
    assert len(ratios) == 3
    assert order == ["a", "a", "b", "b"] + ["a", "b"] * 3


@pytest.mark.parametrize("views", ["separate", "joint"])
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_pass_goes_back_to_the_features_in_the_precision_of_the_runs(
    views: str, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    build = build_model

    def spy(experiment: Experiment) -> Any:
        model = build(experiment)
        model.projection_head.register_forward_hook(
            lambda _, inputs, output: seen.append((model.projection_head, inputs[0], output))
        )
        return model

    monkeypatch.setattr(equal_time, "build_model", spy)
    experiment = dataclasses.replace(TINY, views=views, precision=precision, hidden_dim=24)
    one_pass = head_pass(experiment, CPU)
    one_pass()
    one_pass()
    assert len(seen) == 2
    head, inputs, output = seen[-1]
    assert inputs.shape[:-1] == {"separate": (2, 16), "joint": (32,)}[views]
    assert inputs.requires_grad
    assert output.dtype == (torch.bfloat16 if precision == "bf16-mixed" else torch.float32)
    assert head.layers[0].out_features == 24
    assert all(parameter.grad is not None for parameter in head.parameters())


def test_the_width_is_printed_for_the_flags_of_the_runs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(equal_time, "SEARCH_PAIRS", 1)
    monkeypatch.setattr(equal_time, "FINAL_PAIRS", 3)
    monkeypatch.setattr(equal_time, "CLOSENESS", 1.0)
    flags = ["--smoke", "--measure-equal-time", "--accelerator", "cpu", "--batch-size", "32"]
    assert run_script(run_controls.main, flags) == 0
    out = capsys.readouterr().out
    printed = re.match(r"--equal-time-dim (\d+): .* of 3 pairs .*, batch size 32, 32-true, on", out)
    assert printed
    again = run_controls.parse(["--equal-time-dim", printed[1]])
    assert again.equal_time_dim % 16 == 0


def test_half_precision_on_a_cpu_is_refused() -> None:
    half = dataclasses.replace(TINY, precision="16-mixed")
    with pytest.raises(InputError, match="16-mixed needs a GPU"):
        equal_time.measure_equal_time(half, half, CPU)
