"""Disks that are full, read-only or gone: one sentence, and what was finished stays as it was."""

import hashlib
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from df_heads.benchmarks import run_table2
from df_heads.benchmarks.harness.plan.flags import run_script
from df_heads.integrations.files.atomic import remove_stale, write_whole

FLAGS = (
    *("--datasets", "digits", "--heads", "feedforward", "--sizes", "small", "--epochs", "2"),
    *("--backbone", "test_resnet", "--image-size", "16", "--batch-size", "256"),
    *("--accelerator", "cpu", "--no-progress"),
)


def table2(out_dir: Path, *flags: str) -> int:
    return run_script(run_table2.main, [*FLAGS, "--out-dir", str(out_dir), *flags])


def state_of(folder: Path) -> dict[str, str]:
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {str(f): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    assert table2(folder) == 0
    return folder


@pytest.fixture
def read_only(finished: Path, tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "read-only"
    shutil.copytree(finished, place)
    mount = ["mount", "--bind", str(place), str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False).returncode:
        pytest.skip("mounting a file system is not allowed here")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(place)], check=True)
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_finished_folder_on_a_read_only_disk_prints_its_table(
    read_only: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert table2(read_only) == 0
    said = capsys.readouterr()
    assert "| digits | test_resnet |" in said.out
    assert "read-only file system" in said.err
    assert len(said.err.strip().splitlines()) == 1


def test_a_run_on_a_read_only_disk_is_refused(
    read_only: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = state_of(read_only)
    assert table2(read_only, "--seeds", "1") == 2
    assert "read-only file system; choose a folder" in capsys.readouterr().err
    assert state_of(read_only) == before


def test_a_full_disk(finished: Path, small_disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = small_disk / "runs"
    kept.mkdir()
    for file in finished.glob("*.*"):
        shutil.copy(file, kept)
    before = state_of(kept)
    assert table2(kept, "--seeds", "0", "1") == 2
    said = capsys.readouterr().err
    assert "cannot be written (No space left on device); make room" in said
    assert "Traceback" not in said
    after = state_of(kept)
    assert {name: after[name] for name in before} == before
    assert all(file.stat().st_size for file in kept.rglob("*.*") if "lock" not in file.name)
    # With room it goes on.
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    assert table2(kept, "--seeds", "0", "1") == 0


def test_a_disk_without_inodes(
    finished: Path, few_inodes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Room is left, but for no further file."""
    kept = few_inodes / "runs"
    kept.mkdir()
    for file in finished.glob("*.*"):
        shutil.copy(file, kept)
    with suppress(OSError):
        for number in range(16):
            (few_inodes / f"taken{number}").touch()
    before = state_of(kept)
    for left in (0, 1, 3):  # at another place each time
        if left:
            (few_inodes / f"taken{left - 1}").unlink()
        assert table2(kept, "--seeds", "0", "1") == 2
        said = capsys.readouterr().err
        assert "(No space left on device)" in said or "no space left on device; make room" in said
        assert "Traceback" not in said
        after = state_of(kept)
        assert {name: after[name] for name in before} == before
    subprocess.run(["mount", "-o", "remount,nr_inodes=1000", str(few_inodes)], check=True)
    assert table2(kept, "--seeds", "0", "1") == 0


@pytest.mark.parametrize("size", [0, 1_000, 100_000, 1_000_000])
def test_a_limit_on_the_size_of_files(
    size: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert table2(tmp_path, "--table-only") == 0  # what is only read once is read now
    capsys.readouterr()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        code = table2(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert code == 2
    assert "ile too large" in capsys.readouterr().err
    assert not [f for f in tmp_path.rglob("*.json") if not f.stat().st_size]


@pytest.mark.slow
def test_tmpdir_is_not_needed(finished: Path, tmp_path: Path) -> None:
    """Neither to print a finished table nor, but for worker processes, to run one."""
    done = subprocess.run(
        [sys.executable, "-m", "df_heads.benchmarks.run_table2", *FLAGS, "--out-dir", finished],
        env={**os.environ, "TMPDIR": str(tmp_path / "nothing")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "| digits |" in done.stdout


def a_file(place: Path) -> Path:
    place.write_text("not a folder")
    return place


def below_a_file(place: Path) -> Path:
    return a_file(place) / "runs"


def too_long(place: Path) -> Path:
    return place / ("x" * 300)


def link_to_itself(place: Path) -> Path:
    place.symlink_to(place)
    return place


@pytest.mark.parametrize("make", [a_file, below_a_file, too_long, link_to_itself])
def test_out_dirs_that_cannot_be(
    make: Callable[[Path], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert table2(make(tmp_path / "place")) == 2
    said = capsys.readouterr().err.strip()
    assert said.startswith("error: out dir")
    assert len(said.splitlines()) == 1


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "file"
    write_whole(file, lambda stream: stream.write(b"first"))

    def broken(stream: object) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_whole(file, broken)
    assert file.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [file]


def test_only_stale_temporary_files_are_removed(tmp_path: Path) -> None:
    names = ("last.ckpt.12.tmp", "notes.tmp", "x.json")
    for name in names:
        (tmp_path / name).write_text("x")
    remove_stale(tmp_path)
    assert len(list(tmp_path.iterdir())) == 3  # the writer may be alive
    os.utime(tmp_path / names[0], (0, 0))
    remove_stale(tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == set(names[1:])
