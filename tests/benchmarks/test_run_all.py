import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from df_heads.benchmarks import run_all, run_table2
from df_heads.benchmarks.harness.plan.flags import run_script
from df_heads.benchmarks.harness.store.results import ResultFolder
from df_heads.benchmarks.harness.sweep.jobs import Job

QUICK = ["--datasets", "digits", "--sizes", "small", "--backbone", "test_resnet", "--epochs", "1"]
QUICK += ["--image-size", "16", "--train-images", "100", "--batch-size", "50"]
QUICK += ["--learning-rate", "0.05", "--accelerator", "cpu", "--no-progress", "--logger", "none"]


def test_status_runs_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--status", "--out-dir", str(tmp_path)]

    def missing(*tables: str) -> dict[str, str]:
        assert run_script(run_all.main, [*arguments, *tables]) == 0
        rows = [line.split("|") for line in capsys.readouterr().out.splitlines()[2:]]
        return {row[1].strip(): row[5].strip() for row in rows if len(row) > 5}

    counts = missing("--tables", "2", "3", "4", "5", "6")
    # Table 2: 2 data sets x (untrained + 3 heads x 2 sizes); 3 to 5: untrained + 3 heads x values.
    assert counts == {
        "Table 2": "14",
        "Table 3": "13",
        "Table 4": "22",
        "Table 5": "13",
        "Table 6": "3",
        # All four ablations contain Table 2's small heads on CIFAR-100.
        "all, shared cells once": str(14 + 9 + 18 + 9),
    }
    every = missing()
    assert counts.items() - every.items() == {("all, shared cells once", "50")}
    assert every.keys() - counts.keys() == {"Controls", "Robustness"}
    assert int(every["all, shared cells once"]) > 50
    assert not list(tmp_path.glob("**/*.json"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tables", "7"], "invalid choice: '7'"),
        (["--no-such-flag"], "unrecognized arguments: --no-such-flag"),
        (["--batch-size", "64"], "--batch-size is what this table varies"),
    ],
)
def test_bad_flags(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run_all.main([*arguments, "--out-dir", str(tmp_path)])
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_one_table_that_cannot_run_does_not_stop_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--datasets", "digits", "--image-size", "16", "--backbone", "test_resnet"]
    arguments += ["--epochs", "1", "--learning-rate", "0.05", "--heads", "feedforward"]
    arguments += ["--accelerator", "cpu", "--no-progress", "--logger", "none"]
    arguments += ["--out-dir", str(tmp_path / "out"), "--cache-dir", str(tmp_path / "cache")]
    assert run_script(run_all.main, [*arguments, "--tables", "3", "6"]) == 2
    captured = capsys.readouterr()
    assert "error: Table 3: batch_size=2048 is more than the 1437 training images" in captured.err
    assert "error: Table 6" not in captured.err
    assert "not run" not in (tmp_path / "out" / "table6.md").read_text()


def start(arguments: list[str], log: Path) -> subprocess.Popen[str]:
    with log.open("a") as stream:
        return subprocess.Popen(
            [sys.executable, run_table2.__file__, *arguments],
            stdout=stream,
            stderr=subprocess.STDOUT,
            text=True,
        )


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_two_processes_one_killed_and_started_again_do_every_cell_once(tmp_path: Path) -> None:
    results = ResultFolder(tmp_path / "out")
    shared = [*QUICK, "--epochs", "8", "--heads", "transformer"]
    shared += ["--seeds", "0", "1", "--out-dir", str(results.path)]
    shared += ["--cache-dir", str(tmp_path / "cache")]
    commands = [[*shared, "--shard", shard] for shard in ("1/2", "2/2")]
    logs = [tmp_path / "first.log", tmp_path / "second.log"]
    jobs = run_table2.jobs(run_table2.parse(shared))
    killed, other = (start(*both) for both in zip(commands, logs, strict=True))
    try:
        victim = wait_for_a_cell_in_the_middle(results, jobs, killed.pid)
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait(60)
        assert results.load(victim.experiment) is None
        killed = start(commands[0], logs[0])
        assert killed.wait(240) == 0, logs[0].read_text()
        assert other.wait(240) == 0, logs[1].read_text()
    finally:
        for process in (killed, other):
            process.kill()
    assert len(jobs) == 4
    assert all(job.done(results) for job in jobs)
    text = logs[0].read_text() + logs[1].read_text()
    ended = re.findall(r"\] digits (\S+) seed (\d): unsupervised", text)
    assert sorted(ended) == sorted((job.experiment.head, str(job.experiment.seed)) for job in jobs)
    # Resumed from its checkpoint, not trained again: one row for each epoch.
    curve = results.file(victim.experiment).with_suffix(".curve.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in curve[1:]] == [str(epoch) for epoch in range(1, 9)]
    assert "not run" not in (results.path / "table2.md").read_text()


def wait_for_a_cell_in_the_middle(results: ResultFolder, jobs: list[Job], pid: int) -> Job:
    """A cell that the process is training and has a checkpoint of."""
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        for job in jobs:
            owner = results.lock_file(job.experiment).with_suffix(".owner.json")
            begun = (results.work_dir(job.experiment) / "last.ckpt").exists()
            if begun and f'"pid": {pid},' in owner.read_text() and not job.done(results):
                return job
        time.sleep(0.005)
    raise AssertionError("no cell was begun")
