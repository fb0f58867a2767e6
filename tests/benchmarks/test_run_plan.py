import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from df_heads.benchmarks import run_plan
from df_heads.benchmarks.harness.plan.benchmark import benchmarks
from df_heads.benchmarks.harness.plan.flags import run_script
from df_heads.benchmarks.harness.plan.gpu_plan import PLAN, Entry, command_flags

FIRST = Entry("first", "table2", "--smoke", "Does it run?", downloads=False)
SECOND = Entry("second", "table2", "", "Does it gain?", rates_from="first")


@pytest.mark.parametrize("entry", PLAN, ids=lambda entry: entry.name)
def test_every_script_takes_the_flags_of_its_entry(entry: Entry, tmp_path: Path) -> None:
    if entry.rates_from is not None:
        (tmp_path / entry.rates_from).mkdir()
        chosen = {"transformer-small": 0.1, "feedforward-small": 0.3}
        file = tmp_path / entry.rates_from / "tuning.json"
        file.write_text(json.dumps({"chosen": chosen}))
    flags = command_flags(entry, tmp_path, tmp_path)
    assert flags is not None
    benchmark = benchmarks()[entry.benchmark]
    args = benchmark.parse(flags)
    assert args.out_dir == tmp_path / entry.name
    assert benchmark.jobs(args) or entry.benchmark == "speed"
    assert entry.rates_from is None or dict(args.learning_rates)["transformer-small"] == 0.1


def test_names_are_folders_of_their_own_and_rates_come_before_they_are_needed() -> None:
    names = [entry.name for entry in PLAN]
    assert len(set(names)) == len(names)
    for entry in PLAN:
        if entry.rates_from is not None:
            assert names.index(entry.rates_from) < names.index(entry.name)


def scripted(monkeypatch: pytest.MonkeyPatch, code: str) -> list[str]:
    """Each command is this Python code; gives the names of the entries that were started."""
    begun: list[str] = []
    run = run_plan._run

    def instead(command: list[str], end: float) -> int | None:
        begun.append(Path(command[command.index("--out-dir") + 1]).name)
        return run([sys.executable, "-c", code], end)

    monkeypatch.setattr(run_plan, "PLAN", (FIRST, SECOND))
    monkeypatch.setattr(run_plan, "_run", instead)
    return begun


def test_what_is_done_is_not_done_again_and_rates_are_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    begun = scripted(monkeypatch, "pass")
    flags = ["--minutes", "1", "--out-dir", str(tmp_path)]
    assert run_script(run_plan.main, flags) == 0
    assert begun == ["first"]
    assert "waits for first" in capsys.readouterr().out
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "tuning.json").write_text('{"chosen": {"transformer-small": 0.3}}')
    assert run_script(run_plan.main, flags) == 0
    assert begun == ["first", "second"]
    out = capsys.readouterr().out
    assert "--learning-rates transformer-small=0.3" in out
    assert "done before" in out
    (tmp_path / "first" / "tuning.json").write_text('{"chosen": {"transformer-small": 0.1}}')
    assert run_script(run_plan.main, flags) == 0
    assert begun == ["first", "second", "second"]


def test_a_command_is_stopped_when_the_time_is_up_and_the_next_is_not_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    begun = scripted(
        monkeypatch,
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('saved'), sys.exit(143)))\n"
        "time.sleep(60)",
    )
    started = time.monotonic()
    assert run_script(run_plan.main, ["--minutes", "0.05", "--out-dir", str(tmp_path)]) == 0
    assert time.monotonic() - started < 30
    assert begun == ["first"]
    assert "stopped, goes on next time" in capsys.readouterr().out
    assert not (tmp_path / "done.json").exists()


def test_a_failed_command_is_named_and_the_next_one_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "tuning.json").write_text('{"chosen": {"transformer-small": 0.3}}')
    begun = scripted(monkeypatch, "raise SystemExit(3)")
    assert run_script(run_plan.main, ["--minutes", "1", "--out-dir", str(tmp_path)]) == 1
    assert begun == ["first", "second"]
    assert "failed with exit code 3" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "--minutes is needed"),
        (["--minutes", "nan"], "--minutes nan must be above 0 and finite"),
        (["--minutes", "0"], "--minutes 0 must be above 0 and finite"),
        (["--minutes", "5", "--only", "nothing"], "invalid choice: 'nothing'"),
    ],
)
def test_bad_input_gets_one_sentence(flags: list[str], message: str, capsys: Any) -> None:
    with pytest.raises(SystemExit, match="2"):
        run_plan.main(flags)
    assert message in capsys.readouterr().err


def test_damaged_rates_get_one_sentence(tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "rates").mkdir()
    (tmp_path / "rates" / "tuning.json").write_text('{"chosen": [1]}')
    assert run_script(run_plan.main, ["--list", "--out-dir", str(tmp_path)]) == 2
    assert "is damaged" in capsys.readouterr().err


def test_the_list_is_commands(tmp_path: Path, capsys: Any) -> None:
    assert run_script(run_plan.main, ["--list", "--out-dir", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if line.startswith("# ")]) == len(PLAN)
    assert any("run_table2 --smoke --accelerator gpu --compiled" in line for line in lines)
