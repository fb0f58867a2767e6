"""One of two processes of a run is killed: the other ends soon, in one sentence."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

FLAGS = (
    *("--datasets", "digits", "--heads", "transformer", "--sizes", "small", "--epochs", "12"),
    *("--backbone", "test_resnet", "--image-size", "16", "--batch-size", "128", "--devices", "2"),
    *("--learning-rate", "0.05", "--accelerator", "cpu", "--no-progress"),
)


def start(out_dir: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "df_heads.benchmarks.run_table2", *FLAGS]
    return subprocess.Popen(
        [*command, "--out-dir", str(out_dir)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def second_rank(first: int) -> int:
    """The process that Lightning started for the second device."""
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            environment = (folder / "environ").read_bytes()
        except OSError:
            continue
        if parent == first and b"LOCAL_RANK=1" in environment:
            return int(folder.name)
    raise AssertionError("there is no second process")


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.skipif(
    "DF_HEADS_FAULTS" not in os.environ, reason="takes two minutes; DF_HEADS_FAULTS=1 runs it"
)
@pytest.mark.skipif(sys.platform != "linux", reason="looks for the process in /proc")
def test_a_killed_rank(tmp_path: Path, assert_same_runs: Callable[[Path, Path], None]) -> None:
    place = tmp_path / "killed"
    for rank in (1, 0):
        process = start(place)
        started, begun = time.time_ns(), time.monotonic()
        while not any(f.stat().st_mtime_ns > started for f in place.glob("work/*/last.ckpt")):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() - begun < 120
            time.sleep(0.05)
        other = second_rank(process.pid)
        os.kill(other if rank else process.pid, signal.SIGKILL)
        killed = time.monotonic()
        while alive(process.pid if rank else other):
            assert time.monotonic() - killed < 10
            process.poll()
            time.sleep(0.05)
        _, said = process.communicate()
        assert "Traceback" not in said
        assert said.count("another process of this run is gone") == 1, said
    done = start(place)
    _, said = done.communicate(timeout=240)
    assert done.returncode == 0, said
    whole = start(tmp_path / "whole")
    whole.communicate(timeout=240)
    assert_same_runs(tmp_path / "whole", place)
