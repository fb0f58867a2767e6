"""How far the tables in a results folder are: done, running, failed, missing, time left."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from df_heads.benchmarks.harness.base.experiment import Experiment
from df_heads.benchmarks.harness.evaluate.evaluation import Evaluation
from df_heads.benchmarks.harness.store.locks import Owner, lock_owner
from df_heads.benchmarks.harness.store.results import ResultFolder
from df_heads.benchmarks.harness.sweep.jobs import Job
from df_heads.benchmarks.harness.tables.blocks import Block, Cell, Paragraph, Table
from df_heads.benchmarks.harness.tables.values import Duration, Number

# What a run's time depends on most; runs that agree in these have the same budget.
BUDGET = (
    "dataset", "method", "backbone", "stem", "image_size", "train_images", "epochs", "precision",
    "devices", "imbalance",
)  # fmt: skip
# Within a budget, runs that also agree in these are the better guess.
NEARER = ("head", "batch_size", "views", "num_layers", "sequence_length")


@dataclass(frozen=True)
class Cells:
    """The cells of a table, or of all, by what became of them.

    Attributes:
        done: The files are there.
        running: A process holds the cell, and which.
        failed: What went wrong with the last attempt.
        missing: Everything else.
    """

    done: frozenset[Job]
    running: Mapping[Job, Owner]
    failed: Mapping[Job, str]
    missing: frozenset[Job]


def look(jobs: Sequence[Job], results: ResultFolder) -> Cells:
    """Find out what became of each cell; cells that appear twice count once."""
    done, missing = set(), set()
    running: dict[Job, Owner] = {}
    failed: dict[Job, str] = {}
    for job in dict.fromkeys(jobs):
        if job.done(results):
            done.add(job)
        elif (owner := lock_owner(results.lock_file(job.experiment))) is not None:
            running[job] = owner
        elif (failure := results.failure(job.experiment)) is not None:
            failed[job] = failure.error
        else:
            missing.add(job)
    return Cells(frozenset(done), running, failed, frozenset(missing))


class Clock:
    """Estimates the seconds of runs from finished ones of the same budget.

    Args:
        done: Finished cells, of any budgets.
        results: Where their results are.
    """

    def __init__(self, done: Sequence[Job], results: ResultFolder) -> None:
        self._seconds: dict[tuple[object, ...], list[float]] = {}
        for experiment in {job.experiment for job in done}:
            result = results.load(experiment)
            if result is None:
                continue
            seconds = sum(result.seconds.values())
            for place in (_budget(experiment), _nearer(experiment)):
                self._seconds.setdefault(place, []).append(seconds)

    def estimate(self, experiment: Experiment) -> float | None:
        """Mean seconds of the runs most like this one; None if none has its budget."""
        for place in (_nearer(experiment), _budget(experiment)):
            if place in self._seconds:
                return fmean(self._seconds[place])
        return None

    def left(self, cells: Cells, now: float) -> tuple[float, int]:
        """Seconds of work left for one process, and the number of cells that nothing tells about.

        A running cell counts with what is left of its estimate; a failed one with nothing.
        """
        total, unknown = 0.0, 0
        for job in [*cells.missing, *cells.running]:
            seconds = self.estimate(job.experiment)
            if seconds is None:
                unknown += 1
                continue
            if job in cells.running:
                seconds = max(0.0, seconds - (now - cells.running[job].since))
            total += seconds
        return total, unknown


def status(tables: Mapping[str, Sequence[Job]], results: ResultFolder) -> list[Block]:
    """The progress page: a line for each table, one for all, then what runs and what failed.

    Args:
        tables: The cells of each table, by its name.
        results: The folder.
    """
    now = time.time()
    every = [job for jobs in tables.values() for job in jobs]
    looks = {name: look(jobs, results) for name, jobs in tables.items()}
    # Tables share cells, so this is less than the sum of the lines above it.
    looks["all, shared cells once"] = together = look(_strongest(every), results)
    clock = Clock([job for cells in looks.values() for job in cells.done], results)
    lines: list[list[Cell]] = [
        [
            name,
            Number(len(cells.done)),
            Number(len(cells.running)),
            Number(len(cells.failed)),
            Number(len(cells.missing)),
            _time_left(*clock.left(cells, now)),
        ]
        for name, cells in looks.items()
    ]
    sentences = [
        *(
            [_explanation(clock.left(together, now)[0], len(together.running))]
            if together.missing or together.running
            else []
        ),
        *(
            f"running: {job.experiment.name} (process {owner.pid} on {owner.host} for "
            f"{Duration(now - owner.since)})"
            for job, owner in together.running.items()
        ),
        *(f"failed: {sentence}" for sentence in together.failed.values()),
    ]
    table = Table(["table", "done", "running", "failed", "missing", "time left"], lines)
    return [table, *map(Paragraph, sentences)]


def _strongest(jobs: Sequence[Job]) -> list[Job]:
    """One job for each experiment: with what any table wants of it."""
    wanted: dict[Experiment, dict[Evaluation, None]] = {}
    for job in jobs:
        wanted.setdefault(job.experiment, {}).update(dict.fromkeys(job.evaluations))
    return [Job(experiment, tuple(evaluations)) for experiment, evaluations in wanted.items()]


def _explanation(seconds: float, at_work: int) -> str:
    sentence = (
        "Time left is the work of one process, estimated from the finished cells of the same "
        f"budget; {at_work} now at work"
    )
    shared = at_work > 1 and seconds
    return f"{sentence}, together {Duration(seconds / at_work)}." if shared else f"{sentence}."


def _time_left(seconds: float, unknown: int) -> str:
    if unknown:
        known = f"{Duration(seconds)} + " if seconds else ""
        return f"{known}{unknown} of a budget never finished"
    return str(Duration(seconds)) if seconds else ""


def _budget(experiment: Experiment) -> tuple[object, ...]:
    return tuple(getattr(experiment, name) for name in BUDGET)


def _nearer(experiment: Experiment) -> tuple[object, ...]:
    return tuple(getattr(experiment, name) for name in (*BUDGET, *NEARER))
