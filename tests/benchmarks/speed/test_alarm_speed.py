import json
from pathlib import Path

import pytest

from df_heads.benchmarks import run_speed
from df_heads.benchmarks.harness.plan.flags import run_script


def test_the_alarm_costs_under_a_hundredth_of_a_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--parts", "alarm", "--backbone", "resnet18", "--batch-size", "32"]
    arguments += ["--precision", "32-true", "--step-repeats", "3", "--device", "cpu"]
    assert run_script(run_speed.main, [*arguments, "--out-dir", str(tmp_path)]) == 0
    content = json.loads((tmp_path / "speed-alarm-cpu.json").read_text())
    step, look = (timing["median"] for timing in content["milliseconds"].values())
    assert content["share"] == pytest.approx(look / step)
    assert content["share"] / content["every"] < 0.01
    printed = " ".join(capsys.readouterr().out.split())
    assert f"{100 * content['share']:.2f} % of one" in printed
