"""Asked to stop, a script writes a checkpoint and says one sentence; killed, it loses little."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

# Epochs of a second; the run alone would take minutes.
FLAGS = (
    *("--datasets", "digits", "--heads", "transformer", "--sizes", "small", "--epochs", "200"),
    *("--backbone", "test_resnet", "--image-size", "16", "--batch-size", "32"),
    *("--learning-rate", "0.05", "--accelerator", "cpu", "--no-progress"),
)

COMMAND = [sys.executable, "-m", "df_heads.benchmarks.run_table2"]


def start(out_dir: Path, *flags: str, **environment: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*COMMAND, *FLAGS, *flags, "--out-dir", str(out_dir)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
        start_new_session=True,
    )


def wait_for(process: "subprocess.Popen[str]", out_dir: Path, pattern: str) -> Path:
    """Wait until a file appears."""
    for _ in range(1200):
        if found := list(out_dir.glob(pattern)):
            return found[0]
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    raise AssertionError(f"no {pattern} within a minute")


def ends(process: "subprocess.Popen[str]") -> tuple[int, str]:
    """Its exit code, and what it said at the end."""
    try:
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    return process.returncode, errors


@pytest.mark.slow
@pytest.mark.parametrize(("workers", "signum"), [("0", signal.SIGTERM), ("2", signal.SIGINT)])
def test_a_signal_writes_a_checkpoint_and_ends_with_one_sentence(
    signum: signal.Signals, workers: str, tmp_path: Path
) -> None:
    process = start(tmp_path, "--workers", workers)
    checkpoint = wait_for(process, tmp_path, "work/*/last.ckpt")
    before = checkpoint.stat().st_mtime_ns
    os.killpg(process.pid, signum)  # as a terminal and a scheduler do
    code, errors = ends(process)
    assert code == 128 + signum
    assert "Traceback" not in errors
    assert errors.strip().splitlines()[-1].endswith("goes on from the last checkpoint")
    assert checkpoint.stat().st_mtime_ns > before
    assert not list(tmp_path.glob("work/*/*.tmp"))


@pytest.mark.slow
def test_a_second_signal_is_no_traceback(tmp_path: Path) -> None:
    process = start(tmp_path)
    wait_for(process, tmp_path, "work/*/last.ckpt")
    for pause in (0.0, 0.01, 0.1, 0.5):
        time.sleep(pause)
        process.send_signal(signal.SIGINT)
    code, errors = ends(process)
    assert code == 128 + signal.SIGINT
    assert "Traceback" not in errors


@pytest.mark.slow
def test_slurm_gets_the_job_back_when_its_time_is_up(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "scontrol").write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\n')
    (tools / "scontrol").chmod(0o755)
    slurm = {"SLURM_JOB_ID": "11", "SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "3"}
    # What Lightning recognises Slurm by.
    slurm |= {"SLURM_NTASKS": "1", "SLURM_JOB_NAME": "run"}
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"
    process = start(tmp_path / "runs", PATH=path, **slurm)
    checkpoint = wait_for(process, tmp_path, "runs/work/*/last.ckpt")
    before = checkpoint.stat().st_mtime_ns
    process.send_signal(signal.SIGUSR1)
    code, errors = ends(process)
    assert (tmp_path / "asked").read_text() == "requeue 7_3\n"
    assert "job 7_3 is in the queue again" in errors
    assert code == 128 + signal.SIGUSR1
    assert checkpoint.stat().st_mtime_ns > before
    assert "Traceback" not in errors


@pytest.mark.slow
def test_a_signal_before_training(tmp_path: Path) -> None:
    process = start(tmp_path)
    wait_for(process, tmp_path, "work/locks/*")
    process.terminate()
    code, errors = ends(process)
    assert code == 128 + signal.SIGTERM
    assert "Traceback" not in errors
