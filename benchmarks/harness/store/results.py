"""The folder of result files: one JSON per run, its training curve beside it."""

import csv
import io
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.base.experiment import Experiment
from df_heads.benchmarks.harness.store.files import read_json, read_struct, write_struct, write_text
from df_heads.benchmarks.harness.store.schema import FailedRun, RunResult, Stored

Kind = TypeVar("Kind", bound=Stored)


class ResultFolder:
    """The folder of result files; a table is made from these files and nothing else.

    Args:
        path: Created if it is not there.
        create: False to only read: a path that is not there is then a folder without results.

    Raises:
        InputError: If the path cannot be a folder.
    """

    def __init__(self, path: Path, *, create: bool = True) -> None:
        try:
            if create:
                path.mkdir(parents=True, exist_ok=True)
        except (OSError, ValueError) as error:
            raise InputError(f"out dir {path} cannot be made ({error}); choose another.") from error
        self.path = path

    def file(self, experiment: Experiment) -> Path:
        """Where the result of an experiment is, or will be."""
        return self.path / f"{experiment.name}.json"

    def curve_file(self, experiment: Experiment) -> Path:
        """The losses of its epochs, beside the result."""
        return self.file(experiment).with_suffix(".curve.csv")

    def work_dir(self, experiment: Experiment) -> Path:
        """Where an experiment keeps its checkpoint and logs."""
        return self.path / "work" / experiment.name

    def lock_file(self, experiment: Experiment) -> Path:
        """What a process locks while it works on an experiment."""
        return self.path / "work" / "locks" / f"{experiment.name}.lock"

    def load(self, experiment: Experiment) -> RunResult | None:
        """The result of an experiment; None if it was not run.

        Raises:
            InputError: If its file is damaged or holds another experiment.
        """
        return self.load_as(RunResult, self.file(experiment), experiment)

    def load_as(self, kind: type[Kind], file: Path, experiment: Experiment) -> Kind | None:
        """A file of results of an experiment; None if it is not there.

        Raises:
            InputError: If it is damaged or holds another experiment.
        """
        if not file.exists():
            return None
        result = read_struct(file, kind)
        if not experiment.matches(result.config):
            raise InputError(
                f"{file} holds the result of another config; choose another --out-dir, or move "
                "that file away."
            )
        return result

    def load_file(self, name: str) -> dict[str, Any] | None:
        """A result file that is not one run's, such as theory.json; None if it is not there.

        Raises:
            InputError: If it is damaged.
        """
        file = self.path / name
        return read_json(file) if file.exists() else None

    def save(
        self, experiment: Experiment, result: RunResult, curve: Sequence[Mapping[str, float]]
    ) -> None:
        """Write a result and its curve; the result appears whole or not at all."""
        if curve:
            text = io.StringIO()
            writer = csv.DictWriter(text, fieldnames=list(curve[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(curve)
            write_text(self.curve_file(experiment), text.getvalue())
        write_struct(self.file(experiment), result)

    def failure(self, experiment: Experiment) -> FailedRun | None:
        """How the last attempt at an experiment failed; None if none did."""
        file = self._failure_file(experiment)
        return read_struct(file, FailedRun) if file.exists() else None

    def save_failure(self, experiment: Experiment, error: str) -> None:
        """Keep that an attempt failed, until the next one starts."""
        write_struct(self._failure_file(experiment), FailedRun(error, time.time()))

    def forget_failure(self, experiment: Experiment) -> None:
        """Make place for a new attempt."""
        self._failure_file(experiment).unlink(missing_ok=True)

    def _failure_file(self, experiment: Experiment) -> Path:
        return self.work_dir(experiment) / "failure.json"
