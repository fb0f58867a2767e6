"""A run that was interrupted ends as if it had not been: to the last bit, wherever it stopped."""

import dataclasses
import itertools
import random
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.base.experiment import Experiment
from df_heads.benchmarks.harness.base.machine import Machine
from df_heads.benchmarks.harness.data.images import ImageData
from df_heads.benchmarks.harness.store.results import ResultFolder
from df_heads.benchmarks.harness.sweep.run import run
from df_heads.benchmarks.harness.train.callbacks import TrainingDivergedError
from df_heads.benchmarks.harness.train.methods import METHODS
from df_heads.integrations.byol import BYOL
from df_heads.integrations.files.checkpoint_files import CheckpointFiles
from df_heads.integrations.simclr import SimCLR
from df_heads.integrations.training import checkpoints, interruption
from df_heads.integrations.training.callbacks import SeedEachStep
from df_heads.integrations.training.interruption import Interrupted

MACHINE = Machine(accelerator="cpu", progress=False)
# 4 epochs of 3 steps.
TINY = Experiment(
    "digits",
    "transformer-small",
    learning_rate=0.05,
    backbone="test_resnet",
    image_size=16,
    epochs=4,
    batch_size=16,
)
STEPS = 12


def stop_after(monkeypatch: pytest.MonkeyPatch, steps: set[int]) -> None:
    """Let SIGTERM arrive in these steps."""
    before = SeedEachStep.on_train_batch_start

    def at_step(self: SeedEachStep, trainer: Any, *rest: Any) -> None:
        before(self, trainer, *rest)
        arrived = signal.SIGTERM if trainer.global_step + 1 in steps else None
        monkeypatch.setattr(interruption, "received", lambda: arrived)

    monkeypatch.setattr(SeedEachStep, "on_train_batch_start", at_step)


def run_with_stops(
    experiment: Experiment,
    data: ImageData,
    results: ResultFolder,
    machine: Machine,
    monkeypatch: pytest.MonkeyPatch,
    *steps: int,
) -> None:
    """Start the run, stop it after each of these steps, and start it again."""
    for step in steps:
        with monkeypatch.context() as patch:
            stop_after(patch, {step})
            with pytest.raises(Interrupted):
                run(experiment, data, results, machine)
    run(experiment, data, results, machine)


CASES: dict[str, dict[str, Any]] = {
    "simclr": {},
    "moco": {"method": "moco", "queue_size": 64, "learning_rate": 0.02},
    "byol": {"method": "byol", "teacher_momentum": 0.9},
    "vicreg": {"method": "vicreg"},
    "nnclr": {"method": "nnclr", "queue_size": 64},
    "dino": {"method": "dino", "num_prototypes": 64},
    "compiled": {"compiled": True},
    "lightly": {"augment": "lightly"},
    # A head with a memory of the batch before, one that draws at random, one that is told labels.
    "previous": {"head": "transformer-previous-small"},
    "random": {"head": "transformer-random-keys-small"},
    "oracle": {"head": "transformer-oracle-small"},
}


# Every method without workers, and one with them; the others take longer.
QUICK = [*((case, 0) for case in CASES), ("simclr", 2)]
ALL = [(case, workers) for workers in (0, 2) for case in CASES]


@pytest.mark.parametrize(
    ("case", "workers"),
    [pytest.param(*c, marks=[] if c in QUICK else pytest.mark.slow) for c in ALL],
)
def test_an_interrupted_run_ends_as_if_it_had_not_been(
    case: str,
    workers: int,
    tmp_path: Path,
    tiny_data: ImageData,
    monkeypatch: pytest.MonkeyPatch,
    assert_same_runs: Callable[[Path, Path], None],
) -> None:
    experiment = dataclasses.replace(TINY, **CASES[case])
    machine = dataclasses.replace(MACHINE, workers=workers)
    whole, parts = ResultFolder(tmp_path / "whole"), ResultFolder(tmp_path / "parts")
    run(experiment, tiny_data, whole, machine)
    # In the middle of an epoch, at its end, in its first step.
    run_with_stops(experiment, tiny_data, parts, machine, monkeypatch, 2, 6, 7)
    assert_same_runs(whole.path, parts.path)


def test_what_the_network_draws_does_not_depend_on_interruptions(
    tmp_path: Path,
    tiny_data: ImageData,
    monkeypatch: pytest.MonkeyPatch,
    assert_same_runs: Callable[[Path, Path], None],
) -> None:
    class Noisy(SimCLR):
        def loss(self, views: Any) -> torch.Tensor:
            return super().loss([view + torch.rand_like(view) for view in views])

    monkeypatch.setitem(METHODS._entries, "simclr", lambda: Noisy)
    whole, parts = ResultFolder(tmp_path / "whole"), ResultFolder(tmp_path / "parts")
    run(TINY, tiny_data, whole, MACHINE)
    run_with_stops(TINY, tiny_data, parts, MACHINE, monkeypatch, 4, 9)
    assert_same_runs(whole.path, parts.path)


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory, tiny_data: ImageData) -> Path:
    """The folder of a run that was stopped in its third epoch: two checkpoints."""
    folder = tmp_path_factory.mktemp("begun")
    with pytest.MonkeyPatch.context() as patch:
        stop_after(patch, {7})
        with pytest.raises(Interrupted):
            run(TINY, tiny_data, ResultFolder(folder), MACHINE)
    return folder


@pytest.fixture
def copy_of_begun(begun: Path, tmp_path: Path) -> ResultFolder:
    shutil.copytree(begun, tmp_path / "copy")
    return ResultFolder(tmp_path / "copy")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, tiny_data: ImageData) -> ResultFolder:
    results = ResultFolder(tmp_path_factory.mktemp("whole"))
    run(TINY, tiny_data, results, MACHINE)
    return results


def flip_a_bit(file: Path, seed: int) -> None:
    """Flip a bit of the weights, which are all but the ends of the file."""
    content = bytearray(file.read_bytes())
    draw = random.Random(seed)
    content[draw.randrange(len(content) // 4, 3 * len(content) // 4)] ^= 1 << draw.randrange(8)
    file.write_bytes(content)


def truncate(file: Path, seed: int) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: random.Random(seed).randrange(len(content))])


def overwrite(file: Path, seed: int) -> None:
    file.write_bytes(random.Random(seed).randbytes(1000))


@pytest.mark.parametrize("damage", [flip_a_bit, truncate, overwrite])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(
    damage: Any,
    copy_of_begun: ResultFolder,
    whole: ResultFolder,
    tiny_data: ImageData,
    capsys: pytest.CaptureFixture[str],
    assert_same_runs: Callable[[Path, Path], None],
) -> None:
    damage(copy_of_begun.work_dir(TINY) / "last.ckpt", seed=1)
    run(TINY, tiny_data, copy_of_begun, MACHINE)
    said = capsys.readouterr().err
    assert "last.ckpt is damaged" in said
    assert "going on from the one before, after step 6" in said
    assert_same_runs(whole.path, copy_of_begun.path)


def test_two_damaged_checkpoints_are_refused_and_kept(
    copy_of_begun: ResultFolder, tiny_data: ImageData
) -> None:
    files = [copy_of_begun.work_dir(TINY) / name for name in ("last.ckpt", "previous.ckpt")]
    for file in files:
        flip_a_bit(file, seed=2)
    before = [file.read_bytes() for file in files]
    with pytest.raises(InputError, match=r"last\.ckpt is damaged .*--no-resume"):
        run(TINY, tiny_data, copy_of_begun, MACHINE)
    assert [file.read_bytes() for file in files] == before


def test_checkpoints_of_something_else_are_refused(
    copy_of_begun: ResultFolder, tiny_data: ImageData
) -> None:
    other = dataclasses.replace(tiny_data, fingerprint="1" * 16)
    with pytest.raises(InputError, match="trained on other images .fingerprint 0{16}, not 1{16}"):
        run(TINY, other, copy_of_begun, MACHINE)
    slower = dataclasses.replace(TINY, learning_rate=0.01)
    shutil.copytree(copy_of_begun.work_dir(TINY), copy_of_begun.work_dir(slower))
    (copy_of_begun.work_dir(slower) / "experiment.json").unlink()
    with pytest.raises(InputError, match="is not of this run"):
        run(slower, tiny_data, copy_of_begun, MACHINE)
    torch.save({"state_dict": {}}, copy_of_begun.work_dir(TINY) / "last.ckpt")
    with pytest.raises(InputError, match="is not of this run"):
        run(TINY, tiny_data, copy_of_begun, MACHINE)


def test_a_finished_run_keeps_one_checkpoint_and_no_temporary_files(
    whole: ResultFolder,
) -> None:
    names = {file.name for file in whole.work_dir(TINY).iterdir()}
    assert names == {"last.ckpt", "experiment.json", "csv"}


def test_temporary_files_of_killed_processes_are_removed(
    copy_of_begun: ResultFolder, tiny_data: ImageData
) -> None:
    stale = copy_of_begun.work_dir(TINY) / "new.ckpt.123.tmp"
    stale.write_bytes(b"half")
    run(TINY, tiny_data, copy_of_begun, MACHINE)
    assert not stale.exists()


def test_checkpoints_by_time(
    tmp_path: Path, tiny_data: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: list[int] = []
    clock = iter(range(0, 10_000, 20))  # 20 seconds pass between two looks
    monkeypatch.setattr(checkpoints, "time", SimpleNamespace(monotonic=lambda: float(next(clock))))
    written = CheckpointFiles.save_checkpoint

    def save(self: Any, checkpoint: dict[str, Any], path: Any, **options: Any) -> None:
        saved.append(checkpoint["global_step"])
        written(self, checkpoint, path, **options)

    monkeypatch.setattr(CheckpointFiles, "save_checkpoint", save)
    long_epoch = dataclasses.replace(TINY, epochs=1, batch_size=4)
    machine = dataclasses.replace(MACHINE, checkpoint_minutes=1.0)
    run(long_epoch, tiny_data, ResultFolder(tmp_path), machine)
    assert saved[0] == 3
    assert max(b - a for a, b in itertools.pairwise(saved)) <= 4
    assert saved[-1] == 12


def test_no_checkpoint_holds_what_is_not_finite(
    tmp_path: Path, tiny_data: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Breaking(BYOL):
        def on_train_epoch_end(self) -> None:
            if self.current_epoch == 1:
                with torch.no_grad():
                    next(self.teacher.parameters()).fill_(float("nan"))

    monkeypatch.setitem(METHODS._entries, "byol", lambda: Breaking)
    byol = dataclasses.replace(TINY, method="byol")
    results = ResultFolder(tmp_path)
    with pytest.raises(TrainingDivergedError, match=r"teacher.* not finite .* after step 6; low"):
        run(byol, tiny_data, results, MACHINE)
    kept = torch.load(results.work_dir(byol) / "last.ckpt", weights_only=True)
    assert kept["global_step"] == 3
    assert all(bool(v.isfinite().all()) for v in kept["state_dict"].values())
