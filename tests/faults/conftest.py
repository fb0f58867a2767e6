import csv
import importlib.util
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch


def pytest_configure(config: pytest.Config) -> None:
    if "DF_HEADS_FAULTS" in os.environ:
        place = importlib.util.spec_from_file_location(
            "counting", Path(__file__).with_name("counting.py")
        )
        assert place is not None
        assert place.loader is not None
        counting = importlib.util.module_from_spec(place)
        place.loader.exec_module(counting)
        config.pluginmanager.register(counting.Counts())


@pytest.fixture
def in_time() -> Iterator[None]:
    """Ends a test that hangs."""

    def too_late(*_: object) -> None:
        raise AssertionError("it hangs: not done in 60 seconds")

    before = signal.signal(signal.SIGALRM, too_late)
    signal.alarm(60)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB; only root can mount one."""
    yield from _mounted(tmp_path, "size=1m")


@pytest.fixture
def few_inodes(tmp_path: Path) -> Iterator[Path]:
    """A file system for 16 files and folders; only root can mount one."""
    yield from _mounted(tmp_path, "size=64m,nr_inodes=16")


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    """Another file system than that of tmp_path; only root can mount one."""
    yield from _mounted(tmp_path, "size=256m")


def _mounted(tmp_path: Path, options: str) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
    if os.name != "posix" or os.geteuid() != 0 or subprocess.run(mount, check=False).returncode:
        pytest.skip("mounting a file system is not allowed here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture(scope="session")
def assert_same_runs() -> Callable[[Path, Path], None]:
    """Checks that two results folders hold the same runs, to the last bit."""

    def check(one: Path, other: Path) -> None:
        left = what_is_left(one)
        assert any("weights" in run for run in left.values()), f"no run is finished in {one}"
        assert_same(left, what_is_left(other))

    return check


def what_is_left(folder: Path) -> dict[str, Any]:
    """All that the runs in a results folder left, but for times."""
    left: dict[str, Any] = {}
    for file in folder.glob("*.json"):
        if file.name.endswith(".fusion.json"):
            left[file.name] = json.loads(file.read_text())["epochs"]
            with np.load(file.with_suffix(".npz")) as arrays:
                left[file.name + " maps"] = {name: arrays[name].tobytes() for name in arrays}
            continue
        work = folder / "work" / file.stem
        metrics = json.loads(file.read_text())["metrics"]
        if not (work / "last.ckpt").exists():  # the backbone before training
            left[file.name] = metrics
            continue
        checkpoint = torch.load(work / "last.ckpt", weights_only=True)
        curve = csv.DictReader(file.with_suffix(".curve.csv").read_text().splitlines())
        left[file.name] = {
            "weights": checkpoint["state_dict"],
            "optimizer": checkpoint["optimizer_states"],
            "schedule": checkpoint["lr_schedulers"],
            "step": checkpoint["global_step"],
            "curve": [{k: v for k, v in row.items() if k != "seconds"} for row in curve],
            "metrics": metrics,
            "log": (work / "csv" / "metrics.csv").read_text(),
        }
    return left


def assert_same(one: Any, other: Any, place: str = "") -> None:
    """Equal to the last bit."""
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other), place
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), place
        for key, value in one.items():
            assert_same(value, other[key], f"{place}.{key}")
    elif isinstance(one, list):
        assert len(one) == len(other), place
        for number, value in enumerate(one):
            assert_same(value, other[number], f"{place}[{number}]")
    else:
        assert one == other, place
