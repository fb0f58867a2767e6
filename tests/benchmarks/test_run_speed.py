import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from df_heads.benchmarks import run_speed
from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.plan.flags import run_script
from df_heads.benchmarks.harness.speed.compared import (
    BACKBONE,
    COMPARED,
    COMPILED,
    EAGER,
    FAST_BACKBONE,
    KORNIA,
    LIGHTLY,
    LIGHTNING,
)
from df_heads.benchmarks.harness.speed.parts import PARTS
from df_heads.benchmarks.harness.store.results import ResultFolder
from df_heads.benchmarks.harness.tables.text import to_terminal

LOSS = ["--parts", "loss", "--device", "cpu", "--loss-samples", "64", "128", "--repeats", "2"]
TIMES = [{"median": 1.5, "low": 1.0, "high": 2.0}, {"median": 3.0, "low": 3.0, "high": 3.0}]
STORED: dict[str, Any] = {
    "flags": {"loss_samples": [64, 128], "loss_chunk_size": 1024, "repeats": 2},
    "samples": [64, 128],
    "losses": {
        "lightly": {
            "milliseconds": TIMES,
            "memory_mib": [4.0, 16.0],
            "time_slope": 1.0,
            "memory_slope": 2.0,
        }
    },
}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--parts", "nothing"], "invalid choice: 'nothing'"),
        (["--tokens", "0"], "--tokens must be at least 1"),
        (["--step-repeats", "0"], "--step-repeats must be at least 1"),
        (["--batch-size", "1"], "--batch-size must be at least 2"),
        (["--heads", "mlp"], "'mlp' is not known"),
        (["--memory-tokens", "64"], "two different numbers"),
        (["--memory-tokens", "0", "64"], "--memory-tokens must be at least 1"),
        (["--max-tokens", "4096"], "must be at least 8192"),
        (["--scaling-repeats", "0"], "must be at least 1"),
        (["--loss-samples", "64"], "two different numbers"),
        (["--loss-samples", "64", "65"], "must be even and at least 4"),
        (["--loss-chunk-size", "0"], "must be at least 1"),
    ],
)
def test_bad_input_gets_one_sentence(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        run_script(run_speed.main, arguments)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_quick_measures_everything_with_fewer_repeats() -> None:
    usual, quick = run_speed.parse([]), run_speed.parse(["--quick"])
    assert quick.parts == list(PARTS)
    for name in ("steps", "step_repeats", "repeats"):
        assert 0 < getattr(quick, name) < getattr(usual, name)
    assert run_speed.parse(["--quick", "--repeats", "9"]).repeats == 9


def shown(flags: list[str], folder: Path) -> str:
    return to_terminal(run_speed.table(run_speed.parse(flags), ResultFolder(folder)))


def table(folder: Path, content: dict[str, Any], *flags: str) -> str:
    (folder / "speed-loss-cpu.json").write_text(json.dumps(content))
    return shown([*LOSS, *flags], folder)


def test_the_text_is_made_from_the_file(tmp_path: Path) -> None:
    assert shown(LOSS, tmp_path) == "not run"
    assert "| lightly |          128 | 3.0 | 3.0 to 3.0 |       16 |" in table(tmp_path, STORED)
    assert "head: not run\n\nloss:\n\n| " in shown([*LOSS, "--parts", "head", "loss"], tmp_path)


def test_a_file_of_other_flags_or_a_damaged_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"made with the flags .*'repeats': 2.*, not .*: 3"):
        table(tmp_path, STORED, "--repeats", "3")
    damaged = {key: value for key, value in STORED.items() if key != "losses"}
    with pytest.raises(InputError, match=r"speed-loss-cpu\.json is damaged \(KeyError"):
        table(tmp_path, damaged)


@pytest.mark.slow
def test_the_steps_are_measured_printed_and_stored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--parts", "step", "--backbone", "test_resnet", "--heads", "feedforward-small"]
    arguments += ["--batch-size", "4", "--steps", "1", "--step-repeats", "2", "--workers", "1"]
    arguments += ["--device", "cpu", "--out-dir", str(tmp_path)]
    assert run_script(run_speed.main, arguments) == 0
    content = json.loads((tmp_path / "speed-step-cpu.json").read_text())
    whole, alone = content["whole_step"]["feedforward-small"], content["views_alone"]
    optional = {KORNIA} if content["kornia"] else set()
    assert alone["views_per_second"].keys() == {LIGHTLY, EAGER} | optional
    assert alone["ours"] == EAGER
    assert whole["ours"] == COMPILED
    assert whole["views_per_second"].keys() == (
        {LIGHTLY, EAGER, COMPILED, LIGHTNING, BACKBONE, FAST_BACKBONE} | optional
    )
    assert whole["ours_over"].keys() == {*COMPARED, LIGHTNING} - ({KORNIA} - optional)
    assert all(ratio > 0 for ratio in whole["ours_over"].values())
    printed = " ".join(capsys.readouterr().out.split())
    assert "On a CPU nothing of the compiled step is compiled" in printed
    for name, rate in whole["views_per_second"].items():
        assert 0 < rate["low"] <= rate["median"] <= rate["high"]
        assert f"| {name} | {rate['median']:,.0f} |" in printed
    seconds = 1000 * 100_000 / whole["views_per_second"][COMPILED]["median"]
    assert f"{seconds / 3600:.2f} h" in printed


def test_a_part_that_cannot_be_measured_does_not_stop_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> Any:
        raise InputError("x is missing")

    def works(*_: Any) -> dict[str, Any]:
        return {key: value for key, value in STORED.items() if key != "flags"}

    monkeypatch.setattr(
        run_speed,
        "PARTS",
        {
            **PARTS,
            "head": replace(PARTS["head"], measure=fails),
            "loss": replace(PARTS["loss"], measure=works),
        },
    )
    arguments = [*LOSS, "--parts", "head", "loss", "--out-dir", str(tmp_path)]
    assert run_script(run_speed.main, arguments) == 2
    captured = capsys.readouterr()
    assert "error: head: x is missing" in captured.err
    assert "head: not run" in captured.out
    assert json.loads((tmp_path / "speed-loss-cpu.json").read_text())["samples"] == [64, 128]
