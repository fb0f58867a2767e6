"""Runs that are killed at random moments, again and again, end as if they had not been.

The long part of this suite: DF_HEADS_FAULTS=1 pytest tests/faults
"""

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest

from df_heads.benchmarks import run_table1, run_table2
from df_heads.benchmarks.harness.plan.flags import run_script

pytestmark = pytest.mark.skipif(
    "DF_HEADS_FAULTS" not in os.environ, reason="takes half an hour; DF_HEADS_FAULTS=1 runs it"
)

FLAGS = (
    *("--datasets", "digits", "--heads", "transformer", "--sizes", "small", "--epochs", "6"),
    *("--backbone", "test_resnet", "--image-size", "16", "--batch-size", "128"),
    *("--learning-rate", "0.05", "--accelerator", "cpu", "--no-progress"),
    *("--checkpoint-minutes", "0.01"),
)
METHODS: dict[str, tuple[str, ...]] = {
    "simclr": (),
    "moco": ("--method", "moco", "--queue-size", "1024", "--learning-rate", "0.02"),
    "byol": ("--method", "byol"),
    "compiled": ("--compiled",),
}
TABLE1 = (
    *("--dataset", "digits", "--image-size", "16", "--batch-size", "64", "--epochs", "4"),
    *("--num-layers", "2", "--num-heads", "2", "--learning-rate", "0.05", "--heads"),
    *("transformer", "--accelerator", "cpu", "--no-progress", "--checkpoint-minutes", "0.01"),
)
KILLS = 5

# Starts processes that have imported everything, in a tenth of a second.
_starter = multiprocessing.get_context("forkserver")
_starter.set_forkserver_preload(
    ["df_heads.benchmarks.run_table2", "df_heads.benchmarks.run_table1"]
)


def start(out_dir: Path, *flags: str, table: str = "2") -> ForkServerProcess:
    fixed = TABLE1 if table == "1" else FLAGS
    arguments = (*fixed, *flags, "--out-dir", str(out_dir))
    # run_script itself, which needs no test module in the new process.
    main = run_table1.main if table == "1" else run_table2.main
    process = _starter.Process(target=run_script, args=(main, arguments))
    process.start()
    return process


def wait(process: ForkServerProcess, seconds: float) -> bool:
    """Whether it ended in time."""
    process.join(seconds)
    return process.exitcode is not None


def kill_at_random(out_dir: Path, draw: random.Random, *flags: str, table: str = "2") -> int:
    """Start a run and kill it `KILLS` times; returns how often it was still running."""
    killed = 0
    while killed < KILLS:
        process = start(out_dir, *flags, table=table)
        if wait(process, draw.uniform(1.0, 3.5)):
            break  # finished before it could be killed
        process.kill()
        process.join()
        killed += 1
    return killed


@pytest.mark.parametrize("workers", ["0", "2"])
@pytest.mark.parametrize("method", METHODS)
def test_killed_and_resumed(
    method: str,
    workers: str,
    tmp_path: Path,
    assert_same_runs: Callable[[Path, Path], None],
    record_property: Callable[[str, object], None],
) -> None:
    flags = (*METHODS[method], "--workers", workers)
    whole = start(tmp_path / "whole", *flags)
    draw = random.Random(f"{method} {workers}")
    record_property("count", kill_at_random(tmp_path / "killed", draw, *flags))
    last = start(tmp_path / "killed", *flags)
    assert wait(whole, 300)
    assert wait(last, 300)
    assert_same_runs(tmp_path / "whole", tmp_path / "killed")


def test_table_1_killed_and_resumed(
    tmp_path: Path,
    assert_same_runs: Callable[[Path, Path], None],
    record_property: Callable[[str, object], None],
) -> None:
    whole = start(tmp_path / "whole", table="1")
    draw = random.Random("table 1")
    record_property("count", kill_at_random(tmp_path / "killed", draw, table="1"))
    last = start(tmp_path / "killed", table="1")
    assert wait(whole, 300)
    assert wait(last, 300)
    assert_same_runs(tmp_path / "whole", tmp_path / "killed")


def test_two_processes_on_one_folder_killed_in_turn(
    tmp_path: Path,
    assert_same_runs: Callable[[Path, Path], None],
    record_property: Callable[[str, object], None],
) -> None:
    seeds = ("--seeds", "0", "1", "2")
    whole = start(tmp_path / "whole", *seeds)
    draw, killed = random.Random("two"), 0
    place = tmp_path / "killed"
    running = [start(place, *seeds), start(place, *seeds)]
    for turn in range(6):
        victim = running[turn % 2]
        if wait(victim, draw.uniform(1.0, 4.0)):
            break
        victim.kill()
        victim.join()
        killed += 1
        running[turn % 2] = start(place, *seeds)
    record_property("count", killed)
    for process in (whole, *running):
        assert wait(process, 300)
        assert process.exitcode == 0
    assert_same_runs(tmp_path / "whole", place)


def test_two_starts_of_table_1_run_it_once(
    tmp_path: Path, assert_same_runs: Callable[[Path, Path], None]
) -> None:
    whole = start(tmp_path / "whole", table="1")
    both = [start(tmp_path / "both", table="1") for _ in range(2)]
    for process in (whole, *both):
        assert wait(process, 300)
        assert process.exitcode == 0
    assert_same_runs(tmp_path / "whole", tmp_path / "both")


def test_killed_with_tmpdir_on_another_disk(
    tmp_path: Path,
    other_disk: Path,
    assert_same_runs: Callable[[Path, Path], None],
    record_property: Callable[[str, object], None],
) -> None:
    whole = start(tmp_path / "whole")
    command = [sys.executable, "-m", "df_heads.benchmarks.run_table2", *FLAGS]
    command += ["--out-dir", str(tmp_path / "killed")]
    environment = {**os.environ, "TMPDIR": str(other_disk), "OMP_NUM_THREADS": "1"}
    draw, killed = random.Random("tmpdir"), 0
    for _ in range(10):
        with subprocess.Popen(command, env=environment) as process:
            begun = time.monotonic()
            while not list(tmp_path.glob("killed/work/*/experiment.json")):
                assert time.monotonic() - begun < 120
                time.sleep(0.05)
            try:
                process.wait(draw.uniform(5.0, 9.0))
                break  # finished before it could be killed
            except subprocess.TimeoutExpired:
                process.kill()
                killed += 1
    record_property("count", killed)
    assert wait(whole, 300)
    assert subprocess.run(command, env=environment, check=False).returncode == 0
    assert_same_runs(tmp_path / "whole", tmp_path / "killed")
    assert not [file for file in other_disk.iterdir() if file.suffix in (".ckpt", ".tmp")]


def test_terminated_and_resumed(
    tmp_path: Path,
    assert_same_runs: Callable[[Path, Path], None],
    record_property: Callable[[str, object], None],
) -> None:
    """No step that was finished is lost."""
    import torch

    whole = start(tmp_path / "whole", "--checkpoint-minutes", "60", "--epochs", "40")
    place, draw, steps = tmp_path / "stopped", random.Random("terminated"), [0]
    flags = ("--checkpoint-minutes", "60", "--epochs", "40")
    for _ in range(5):
        process = start(place, *flags)
        while not list(place.glob("work/*/csv/metrics.csv")):  # it trains
            assert not wait(process, 0.05)
        if wait(process, draw.uniform(0.5, 5.0)):
            break
        os.kill(process.pid or 0, signal.SIGTERM)
        assert wait(process, 60)
        (file,) = place.glob("work/*/last.ckpt")
        steps.append(torch.load(file, weights_only=True)["global_step"])
    record_property("count", len(steps) - 1)
    assert sorted(steps) == steps
    assert wait(start(place, *flags), 300)
    assert wait(whole, 300)
    assert_same_runs(tmp_path / "whole", place)
