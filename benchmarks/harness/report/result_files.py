"""The result files that a benchmark's table is made of, and what the report takes from each."""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from df_heads.benchmarks.harness.base.environment import Environment
from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.base.experiment import UNTRAINED, Experiment
from df_heads.benchmarks.harness.evaluate.standard import Standard
from df_heads.benchmarks.harness.plan.benchmark import Benchmark
from df_heads.benchmarks.harness.store.results import ResultFolder
from df_heads.benchmarks.harness.store.schema import Result, RunResult, Stored

STANDARD = Standard()


@dataclass(frozen=True)
class Origin:
    """What a result was made with, from what, and how long it took.

    Attributes:
        environment: Versions, commit and hardware.
        seconds: Wall time of all phases; None if the file does not say.
        data: The images; None if the file does not say.
        train_images: How many of them the network was trained on; None if the file does not say.
    """

    environment: Environment
    seconds: float | None = None
    data: "DataCopy | None" = None
    train_images: int | None = None


@dataclass(frozen=True)
class DataCopy:
    """A copy of a data set: its name, its fingerprint and what is particular about it."""

    name: str
    fingerprint: str
    note: str


@dataclass(frozen=True)
class ResultFile:
    """A result file that a table is made of.

    Attributes:
        name: Within the folder.
        origin: None if the file is not there.
        experiment: The run that it is of; None for a file of another kind.
        evaluation: Which further evaluation of that run; empty for its own result.
    """

    name: str
    origin: Origin | None
    experiment: Experiment | None = None
    evaluation: str = ""

    @property
    def trained(self) -> bool:
        """Whether it stands for work: anything but the backbone before training."""
        return self.experiment is None or self.experiment.head != UNTRAINED


def result_files(
    benchmark: Benchmark, args: argparse.Namespace, results: ResultFolder
) -> list[ResultFile]:
    """The files of a table, those that are not there included, each once.

    Raises:
        InputError: If a file is damaged.
    """
    if benchmark.files is not None:
        return [_other_file(results, name) for name in benchmark.files(args)]
    found: dict[str, ResultFile] = {}
    for job in benchmark.jobs(args):
        for evaluation in (STANDARD, *job.evaluations):
            name = evaluation.file(job.experiment)
            if name not in found:
                stored = evaluation.load(results, job.experiment)
                origin = None if stored is None else _origin(stored)
                kind = "" if evaluation == STANDARD else evaluation.name
                found[name] = ResultFile(name, origin, job.experiment, kind)
    return list(found.values())


def _origin(stored: Stored) -> Origin:
    seconds = sum(stored.seconds.values()) if isinstance(stored, Result) else None
    if not isinstance(stored, RunResult):
        return Origin(stored.environment, seconds)
    data = stored.data
    copy = DataCopy(data.name, data.fingerprint, data.note)
    return Origin(stored.environment, seconds, copy, data.train)


def _other_file(results: ResultFolder, name: str) -> ResultFile:
    content = results.load_file(name)
    if content is None:
        return ResultFile(name, None)
    return ResultFile(name, _origin_of_other(results.path / name, content))


def _origin_of_other(file: Path, content: Mapping[str, Any]) -> Origin:
    try:
        environment = msgspec.convert(content.get("environment"), Environment)
        seconds = msgspec.convert(content.get("seconds"), float | None)
    except msgspec.ValidationError as error:
        raise InputError(
            f"{file} is damaged (its environment or seconds: {error}); move it away to run it "
            "again."
        ) from error
    return Origin(environment, seconds)
