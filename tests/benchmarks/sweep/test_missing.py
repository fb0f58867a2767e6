import argparse
import dataclasses
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from made_results import save_made

from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.base.experiment import Experiment
from df_heads.benchmarks.harness.base.machine import Machine
from df_heads.benchmarks.harness.data.images import ImageData
from df_heads.benchmarks.harness.store.locks import try_lock
from df_heads.benchmarks.harness.store.results import ResultFolder
from df_heads.benchmarks.harness.store.schema import RunResult
from df_heads.benchmarks.harness.sweep import copies
from df_heads.benchmarks.harness.sweep import missing as sweep
from df_heads.benchmarks.harness.sweep.jobs import Job, Shard, shard
from df_heads.benchmarks.harness.sweep.missing import DataSource, run_missing
from df_heads.benchmarks.harness.train.callbacks import TrainingDivergedError

MACHINE = Machine(accelerator="cpu", progress=False)
CELLS = [Job(Experiment("digits", "transformer-small", seed=seed)) for seed in range(5)]
UNTRAINED = Job(Experiment("digits", "transformer-small").untrained)
METRICS = {"unsupervised": 1.0, "supervised": 2.0}

Ran = list[int]


@pytest.fixture
def source(tiny_data: ImageData) -> DataSource:
    return DataSource(lambda name, size: tiny_data)


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> Ran:
    """The seeds of the cells that were run, which take no time."""
    return fake_runs(monkeypatch, lambda experiment: None)


def fake_runs(monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[Experiment], None]) -> Ran:
    seeds: Ran = []

    def run(
        experiment: Experiment, data: ImageData, results: ResultFolder, *_: Any, **__: Any
    ) -> RunResult:
        seeds.append(experiment.seed)
        meanwhile(experiment)
        return save_made(results, experiment, metrics=METRICS)

    monkeypatch.setattr(sweep, "run", run)
    monkeypatch.setattr(sweep, "SECONDS_BETWEEN_LOOKS", 0.01)
    return seeds


def finish(results: ResultFolder, experiment: Experiment) -> None:
    save_made(results, experiment, metrics=METRICS)


def test_shares_are_disjoint_and_together_the_whole() -> None:
    jobs = [UNTRAINED, *CELLS]
    for count in (1, 2, 3, 6, 7):
        shares = [Shard(index, count).share(jobs) for index in range(1, count + 1)]
        assert sorted(repr(job) for share in shares for job in share) == sorted(map(repr, jobs))
        assert max(map(len, shares)) - min(map(len, shares)) <= 1
    # The cells that take time come out even: the untrained one is dealt out last.
    trained = [job for job in Shard(2, 5).share(jobs) if job is not UNTRAINED]
    assert len(trained) == 1
    assert [job.experiment.seed for job in Shard(1, 2).share(CELLS)] == [0, 2, 4]


def test_shards_are_read_from_the_command_line() -> None:
    assert shard("2/8") == Shard(2, 8)
    for bad in ("0/8", "9/8", "1", "1/0", "a/b", "-1/2"):
        with pytest.raises(argparse.ArgumentTypeError, match="i from 1 to n, such as 2/8"):
            shard(bad)


def test_what_is_done_is_not_done_again_and_equal_cells_once(
    tmp_path: Path, source: DataSource, ran: Ran
) -> None:
    results = ResultFolder(tmp_path)
    finish(results, CELLS[1].experiment)
    assert run_missing([*CELLS, *CELLS], source, results, MACHINE, Shard(1, 2)) == []
    assert ran == [0, 2, 4]
    assert run_missing(CELLS, source, results, MACHINE) == []
    assert ran == [0, 2, 4, 3]


def test_a_cell_of_another_process_is_waited_for_last(
    tmp_path: Path, source: DataSource, ran: Ran, capsys: pytest.CaptureFixture[str]
) -> None:
    results = ResultFolder(tmp_path)
    first = CELLS[0].experiment
    with try_lock(results.lock_file(first)) as held:
        assert held
        thread = threading.Thread(target=run_missing, args=(CELLS, source, results, MACHINE))
        thread.start()
        while len(ran) < 4:
            thread.join(0.01)
        thread.join(0.1)
        assert thread.is_alive()
        finish(results, first)
    thread.join(10)
    assert not thread.is_alive()
    assert ran == [1, 2, 3, 4]
    assert capsys.readouterr().out.count("Waiting for 1 runs of other processes.") == 1


def test_a_cell_whose_process_died_is_done_here(
    tmp_path: Path, source: DataSource, ran: Ran
) -> None:
    results = ResultFolder(tmp_path)
    with try_lock(results.lock_file(CELLS[0].experiment)):
        thread = threading.Thread(target=run_missing, args=(CELLS, source, results, MACHINE))
        thread.start()
        while len(ran) < 4:
            thread.join(0.01)
    thread.join(10)
    assert ran == [1, 2, 3, 4, 0]


def diverging(experiment: Experiment) -> None:
    if experiment.seed == 2:
        raise TrainingDivergedError(f"{experiment.name}: the loss became nan")
    if experiment.seed == 3:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB.\nAnd more.")


def test_failures_are_kept_and_tried_once_in_each_sweep(
    tmp_path: Path,
    source: DataSource,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    results = ResultFolder(tmp_path)
    ran = fake_runs(monkeypatch, diverging)
    for _ in range(2):
        diverged, memory = run_missing(CELLS, source, results, MACHINE)
        assert diverged == f"{CELLS[2].experiment.name}: the loss became nan"
        assert memory == (
            f"{CELLS[3].experiment.name}: CUDA out of memory. Tried to allocate 9 GiB."
        )
    assert ran == [0, 1, 2, 3, 4, 2, 3]
    failure = results.failure(CELLS[2].experiment)
    assert failure is not None
    assert failure.error == diverged
    assert capsys.readouterr().err.count("failed:") == 4
    ran = fake_runs(monkeypatch, lambda experiment: None)
    assert run_missing(CELLS, source, results, MACHINE) == []
    assert ran == [2, 3]
    assert results.failure(CELLS[2].experiment) is None


def test_what_another_process_failed_at_meanwhile_is_not_tried_again(
    tmp_path: Path, source: DataSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = ResultFolder(tmp_path)

    def fail_elsewhere(experiment: Experiment) -> None:
        if experiment.seed == 0:
            results.save_failure(CELLS[4].experiment, "it diverged elsewhere")

    ran = fake_runs(monkeypatch, fail_elsewhere)
    assert run_missing(CELLS, source, results, MACHINE) == ["it diverged elsewhere"]
    assert ran == [0, 1, 2, 3]


def test_an_unexpected_error_is_kept_and_raised(
    tmp_path: Path, source: DataSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(experiment: Experiment) -> None:
        raise ZeroDivisionError("a bug")

    results = ResultFolder(tmp_path)
    fake_runs(monkeypatch, broken)
    with pytest.raises(ZeroDivisionError):
        run_missing(CELLS, source, results, MACHINE)
    failure = results.failure(CELLS[0].experiment)
    assert failure is not None
    assert "ZeroDivisionError('a bug')" in failure.error
    with try_lock(results.lock_file(CELLS[0].experiment)) as held:
        assert held


def failing_in_turn(experiment: Experiment) -> None:
    if experiment.seed == 0:
        raise InputError("the first process reports it")
    if experiment.seed == 2:
        raise TrainingDivergedError("the first process reports it")


def test_copies_run_what_the_first_process_announces(
    tmp_path: Path, source: DataSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = [Job(dataclasses.replace(job.experiment, devices=2)) for job in CELLS]
    results, copy = ResultFolder(tmp_path), ResultFolder(tmp_path / "copy")
    with monkeypatch.context() as patch:
        patch.setattr(copies, "_file", None)
        patch.setattr(copies, "_over_before", 0)
        patch.setenv(copies._VARIABLE, "of another process")
        leaders = fake_runs(monkeypatch, lambda experiment: None)
        run_missing([UNTRAINED], source, results, MACHINE)
        finish(results, two[1].experiment)
        run_missing([UNTRAINED, *two], source, results, MACHINE)
        assert leaders == [0, 0, 2, 3, 4]
        patch.setattr(sweep, "is_first_process", lambda: False)
        patch.setattr(copies, "_lines_read", 0)
        ran = fake_runs(monkeypatch, failing_in_turn)
        run_missing([UNTRAINED], source, copy, MACHINE)
        assert ran == []
        run_missing([UNTRAINED, *two], source, copy, MACHINE)
        assert ran == [0, 2, 3, 4]
        assert not copy.lock_file(two[0].experiment).exists()


def test_ranks_of_another_launcher_get_one_clear_sentence(
    tmp_path: Path, source: DataSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(copies._VARIABLE, raising=False)
    monkeypatch.setattr(sweep, "is_first_process", lambda: False)
    with pytest.raises(InputError, match="start one process and give it --devices"):
        run_missing(CELLS, source, ResultFolder(tmp_path), MACHINE)


def test_a_copy_whose_first_process_is_gone_ends(
    tmp_path: Path, source: DataSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    parents = iter([10, 1])
    monkeypatch.setenv(copies._VARIABLE, str(tmp_path / "announcements"))
    monkeypatch.setattr(sweep, "is_first_process", lambda: False)
    monkeypatch.setattr(os, "getppid", lambda: next(parents))
    with pytest.raises(SystemExit):
        run_missing(CELLS, source, ResultFolder(tmp_path), MACHINE)
