"""Many runs: do what is missing, share it with other processes, go on when one fails.

A cell is a job keyed by its config: done once its files are there, never done twice. Any number of
processes may fill one folder, each holding the lock of the cell it works on. A process that is
killed frees its lock, and the next one goes on from the cell's last checkpoint.
"""

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from df_heads.benchmarks.harness.base.errors import InputError, LostProcessError
from df_heads.benchmarks.harness.base.experiment import UNTRAINED, Experiment
from df_heads.benchmarks.harness.base.machine import Machine, is_first_process
from df_heads.benchmarks.harness.data.images import ImageData
from df_heads.benchmarks.harness.data.subsets import images_of
from df_heads.benchmarks.harness.evaluate.evaluation import FinishedRun
from df_heads.benchmarks.harness.store.locks import try_lock, wait_for_lock
from df_heads.benchmarks.harness.store.results import ResultFolder
from df_heads.benchmarks.harness.store.schema import DataUsed, FailedRun, RunResult
from df_heads.benchmarks.harness.sweep.copies import announce, announce_end, announced
from df_heads.benchmarks.harness.sweep.jobs import WHOLE, Job, Shard
from df_heads.benchmarks.harness.sweep.run import run
from df_heads.benchmarks.harness.train.callbacks import TrainingDivergedError
from df_heads.integrations.files.atomic import remove_stale

SECONDS_BETWEEN_LOOKS = 2.0


@dataclass(frozen=True)
class DataSource:
    """Where the images of a sweep come from.

    Attributes:
        load: From the name of a data set and the image size to its images.
        note: What is particular about these copies, kept with every result.
    """

    load: Callable[[str, int], ImageData]
    note: str = ""


def run_missing(
    jobs: Sequence[Job],
    source: DataSource,
    results: ResultFolder,
    machine: Machine,
    share: Shard = WHOLE,
) -> list[str]:
    """Run the cells of this share that have no result file yet, and return when all have one.

    A cell that another process works on is waited for, after everything else; if that process
    dies, the cell is done here. A cell that failed in an earlier sweep is tried once more, one
    that fails while this sweep is running, here or elsewhere, is not.

    Args:
        jobs: The cells; those that appear twice are run once.
        source: Their images.
        results: Where the results go.
        machine: What to run them on.
        share: Which of them this process is to do.

    Returns:
        What went wrong, one sentence per failed run; the others were run all the same.

    Raises:
        InputError: If a run cannot start, or a result file was made from other images.
    """
    mine = share.share(list(dict.fromkeys(jobs)))
    if is_first_process():
        try:
            return _Sweep(mine, source, results, machine).work()
        finally:
            announce_end()
    by_key = {job.experiment.key: job.experiment for job in mine}
    for key in announced():
        # The first process meets the same error, and reports it; this one waits for what is next.
        with suppress(TrainingDivergedError, InputError):
            run(by_key[key], _images(by_key[key], source, results), results, machine)
    return []


def _images(experiment: Experiment, source: DataSource, results: ResultFolder) -> ImageData:
    """The images of an experiment."""
    return _load(experiment.dataset, experiment.image_size, source, results)


def _load(name: str, size: int, source: DataSource, results: ResultFolder) -> ImageData:
    """A data set; only one process at a time may download and decode it."""
    with wait_for_lock(results.path / "work" / "locks" / f"data-{name}-{size}.lock"):
        return source.load(name, size)


class _Sweep:
    """What the first process does."""

    def __init__(
        self, jobs: Sequence[Job], source: DataSource, results: ResultFolder, machine: Machine
    ) -> None:
        self.jobs, self.source, self.results, self.machine = jobs, source, results, machine
        self.failed_before: dict[Job, FailedRun | None] = {
            job: results.failure(job.experiment) for job in jobs
        }
        self.failures: list[str] = []
        self.started = 0

    def work(self) -> list[str]:
        """Go through the missing cells until none is left."""
        remove_stale(self.results.path)
        for job in self.jobs:
            self._check_same_images(job)
        waiting = [job for job in self.jobs if not job.done(self.results)]
        self.missing = len(waiting)
        print(f"{len(self.jobs)} runs, {len(self.jobs) - self.missing} of them done before.")
        sys.stdout.flush()
        said = False
        while waiting:
            busy = [job for job in waiting if not self._settled(job)]
            if len(busy) == len(waiting):
                if not said:
                    print(f"Waiting for {len(busy)} runs of other processes.", flush=True)
                said = True
                time.sleep(SECONDS_BETWEEN_LOOKS)
            waiting = busy
        return self.failures

    def _settled(self, job: Job) -> bool:
        """Run the job unless it is done or has failed; False if another process holds it."""
        with try_lock(self.results.lock_file(job.experiment)) as held:
            if not held:
                return False
            if job.done(self.results):
                return True
            failure = self.results.failure(job.experiment)
            if failure is not None and failure != self.failed_before[job]:
                self.failures.append(failure.error)
            else:
                self._run(job)
            return True

    def _run(self, job: Job) -> None:
        experiment = job.experiment
        self.started += 1
        title = f"[{self.started}/{self.missing}] {job.title}"
        self.results.forget_failure(experiment)
        try:
            self._train_and_evaluate(job, title)
        except (TrainingDivergedError, torch.OutOfMemoryError) as error:
            if isinstance(error, torch.OutOfMemoryError) and experiment.devices > 1:
                raise  # the other devices wait for this one
            sentence = str(error).splitlines()[0]
            if experiment.name not in sentence:
                sentence = f"{experiment.name}: {sentence}"
            self.results.save_failure(experiment, sentence)
            self.failures.append(sentence)
            print(f"{title}: failed: {sentence}", file=sys.stderr)
        except (InputError, LostProcessError):
            raise
        except Exception as error:
            with suppress(OSError):  # the disk may be what failed
                self.results.save_failure(experiment, f"{experiment.name}: {error!r}")
            raise

    def _train_and_evaluate(self, job: Job, title: str) -> None:
        experiment = job.experiment
        data = _images(experiment, self.source, self.results)
        wanted = job.missing(self.results)
        content = self.results.load(experiment)
        trained_before = content is not None
        if content is None or not all(e.is_possible(self.results, experiment) for e in wanted):
            if experiment.devices > 1 and experiment.head != UNTRAINED:
                announce(experiment.key)
            content = run(
                experiment,
                data,
                self.results,
                # A finished run has nothing to resume, and its snapshots are gone.
                replace(self.machine, resume=self.machine.resume and not trained_before),
                data_note=self.source.note,
                title=title,
                snapshot_epochs=sorted({n for e in wanted for n in e.snapshot_epochs(experiment)}),
            )
            assert content is not None
            print(f"{title}: {_summary(content)}", flush=True)
        finished = FinishedRun(
            experiment,
            images_of(experiment, data),
            self.results,
            self.machine,
            load_images=lambda name: _load(name, experiment.image_size, self.source, self.results),
            data_note=self.source.note,
        )
        for evaluation in wanted:
            evaluation.run(finished)
            print(f"{title}: {evaluation.name} done", flush=True)

    def _check_same_images(self, job: Job) -> None:
        experiment = job.experiment

        def load(name: str) -> ImageData:
            return _load(name, experiment.image_size, self.source, self.results)

        result = self.results.load(experiment)
        if result is not None:
            data = _images(experiment, self.source, self.results)
            _refuse_other_images(self.results.file(experiment), result.data, data)
        for evaluation in job.evaluations:
            more = evaluation.load(self.results, experiment)
            if more is not None:
                evaluation.check_images(more, experiment, load)


def _refuse_other_images(file: Path, before: DataUsed, data: ImageData) -> None:
    if before.fingerprint != data.fingerprint:
        raise InputError(
            f"{file} was made from other images of {data.name} (fingerprint {before.fingerprint}, "
            f"not {data.fingerprint}); choose another --out-dir."
        )


def _summary(content: RunResult) -> str:
    metrics = content.metrics
    return (
        f"unsupervised {metrics['unsupervised']:.2f} %, supervised {metrics['supervised']:.2f} %, "
        f"{sum(content.seconds.values()):.0f} s"
    )
