"""Result files: one JSON per run, its training curve beside it."""

import csv
import io
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.base.experiment import Experiment
from df_heads.benchmarks.harness.store.atomic import write_whole

SCHEMA = 1


class ResultFolder:
    """The folder of result files; a table is made from these files and nothing else.

    Args:
        path: Created if it is not there.

    Raises:
        InputError: If the path cannot be a folder.
    """

    def __init__(self, path: Path) -> None:
        try:
            path.mkdir(parents=True, exist_ok=True)
        except (OSError, ValueError) as error:  # the latter for a character that no path has
            raise InputError(f"out dir {path} cannot be made ({error}); choose another.") from error
        self.path = path

    def file(self, experiment: Experiment) -> Path:
        """Where the result of an experiment is, or will be."""
        return self.path / f"{experiment.name}.json"

    def work_dir(self, experiment: Experiment) -> Path:
        """Where an experiment keeps its checkpoint and logs."""
        return self.path / "work" / experiment.name

    def lock_file(self, experiment: Experiment) -> Path:
        """What a process locks while it works on an experiment."""
        return self.path / "work" / "locks" / f"{experiment.name}.lock"

    def probes_file(self, experiment: Experiment) -> Path:
        """Where the probes of a finished run are, or will be, see probes.run_probes."""
        return self.path / "probes" / f"{experiment.name}.json"

    def load(self, experiment: Experiment) -> dict[str, Any] | None:
        """The result of an experiment; None if it was not run.

        Raises:
            InputError: If its file is damaged or holds another experiment.
        """
        return self._read(self.file(experiment), experiment)

    def load_probes(self, experiment: Experiment) -> dict[str, Any] | None:
        """The probes of an experiment; None if they were not run.

        Raises:
            InputError: If their file is damaged or holds another experiment.
        """
        return self._read(self.probes_file(experiment), experiment)

    def load_file(self, name: str) -> dict[str, Any] | None:
        """A result file that is not one run's, such as theory.json; None if it is not there.

        Raises:
            InputError: If it is damaged.
        """
        file = self.path / name
        return read_json(file) if file.exists() else None

    def save_probes(self, experiment: Experiment, content: Mapping[str, Any]) -> None:
        """Write the probes of a finished run; they appear whole or not at all."""
        file = self.probes_file(experiment)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, {**_header(experiment), **content})

    def robustness_file(self, experiment: Experiment, transfer_to: str) -> Path:
        """Where further evaluations of a run are, or will be, see robustness.run_robustness."""
        return self.path / "robustness" / f"{experiment.name}-to-{transfer_to}.json"

    def load_robustness(self, experiment: Experiment, transfer_to: str) -> dict[str, Any] | None:
        """The further evaluations of an experiment; None if they were not run.

        Raises:
            InputError: If their file is damaged or holds another experiment.
        """
        return self._read(self.robustness_file(experiment, transfer_to), experiment)

    def save_robustness(
        self, experiment: Experiment, transfer_to: str, content: Mapping[str, Any]
    ) -> None:
        """Write the further evaluations of a run; they appear whole or not at all."""
        file = self.robustness_file(experiment, transfer_to)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, {**_header(experiment), **content})

    def failure(self, experiment: Experiment) -> dict[str, Any] | None:
        """How the last attempt at an experiment failed: "error" and "time"; None if none did."""
        file = self._failure_file(experiment)
        return read_json(file) if file.exists() else None

    def save_failure(self, experiment: Experiment, error: str) -> None:
        """Keep that an attempt failed, until the next one starts."""
        file = self._failure_file(experiment)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, {"error": error, "time": time.time()})

    def forget_failure(self, experiment: Experiment) -> None:
        """Make place for a new attempt."""
        self._failure_file(experiment).unlink(missing_ok=True)

    def _failure_file(self, experiment: Experiment) -> Path:
        return self.work_dir(experiment) / "failure.json"

    def _read(self, file: Path, experiment: Experiment) -> dict[str, Any] | None:
        if not file.exists():
            return None
        result = read_json(file)
        if not experiment.matches(result.get("config")):
            raise InputError(
                f"{file} holds the result of another config; choose another --out-dir, or move "
                "that file away."
            )
        return result

    def save(
        self, experiment: Experiment, result: Mapping[str, Any], curve: Sequence[Mapping[str, Any]]
    ) -> None:
        """Write a result and its curve; the result appears whole or not at all."""
        if curve:
            stream = io.StringIO(newline="")
            writer = csv.DictWriter(stream, fieldnames=list(curve[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(curve)
            write_text(self.file(experiment).with_suffix(".curve.csv"), stream.getvalue())
        write_json(self.file(experiment), {**_header(experiment), **result})


def _header(experiment: Experiment) -> dict[str, Any]:
    return {"schema": SCHEMA, "key": experiment.key, "config": experiment.config()}


def collapsed(result: Mapping[str, Any]) -> bool:
    """Whether a run ended with the loss that parallel projections give, within 1 %.

    Only SimCLR's loss tells: BYOL's becomes 0 then, and so it does in a good run; MoCo's depends on
    the keys still in the queue.
    """
    metrics = result["metrics"]
    if "final_train_loss" not in metrics or "collapse_loss" not in metrics:
        return False
    return bool(metrics["final_train_loss"] > 0.99 * metrics["collapse_loss"])


def read_json(file: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        InputError: If the file is no JSON object.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{file} is damaged ({error}); move it away to run it again.") from error
    if not isinstance(content, dict):
        raise InputError(f"{file} holds no JSON object; move it away to run it again.")
    return content


def write_json(file: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON object; the file appears whole or not at all."""
    write_text(file, json.dumps(content, indent=1) + "\n")


def write_text(file: Path, text: str) -> None:
    """Write a text file that appears whole or not at all, also if two processes write it."""
    write_whole(file, lambda stream: stream.write(text.encode()))
