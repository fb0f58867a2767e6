import json
from pathlib import Path

import pytest

from df_heads.benchmarks import run_speed
from df_heads.benchmarks.harness.cli import run_script


@pytest.mark.slow
def test_memory_of_the_head_grows_linearly(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--head", "--tokens", "64", "--repeats", "1", "--device", "cpu"]
    arguments += ["--memory-tokens", "1024", "4096", "--out-dir", str(tmp_path)]
    assert run_script(run_speed.main, arguments) == 0
    result = json.loads((tmp_path / "speed-head-cpu.json").read_text())
    # The explicit weights of 8 heads would take 512 MiB in each of the 5 layers.
    assert result["memory_mib"]["4096"] < 1000
    assert result["memory_slope"] < 1.2
    assert "| df-heads " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "choose what to measure: --head, --loss"),
        (["--head", "--tokens", "0"], "at least 1 each"),
        (["--head", "--memory-tokens", "64"], "two different numbers"),
        (["--loss", "--loss-samples", "64"], "two different numbers"),
        (["--loss", "--loss-samples", "64", "65"], "must be even and at least 4"),
        (["--loss", "--loss-chunk-size", "0"], "at least 1 each"),
    ],
)
def test_bad_input_gets_one_sentence(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        run_script(run_speed.main, arguments)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err
