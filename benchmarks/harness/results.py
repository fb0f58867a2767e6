"""Result files: one JSON per run, its training curve beside it."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from df_heads.benchmarks.harness.errors import InputError
from df_heads.benchmarks.harness.experiment import Experiment

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
        except OSError as error:
            raise InputError(f"out dir {path} cannot be made ({error}); choose another.") from error
        self.path = path

    def file(self, experiment: Experiment) -> Path:
        """Where the result of an experiment is, or will be."""
        return self.path / f"{experiment.name}.json"

    def work_dir(self, experiment: Experiment) -> Path:
        """Where an experiment keeps its checkpoint and logs."""
        return self.path / "work" / experiment.name

    def load(self, experiment: Experiment) -> dict[str, Any] | None:
        """The result of an experiment; None if it was not run.

        Raises:
            InputError: If its file is damaged or holds another experiment.
        """
        file = self.file(experiment)
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
            with self.file(experiment).with_suffix(".curve.csv").open("w", newline="") as stream:
                writer = csv.DictWriter(stream, fieldnames=list(curve[0]), lineterminator="\n")
                writer.writeheader()
                writer.writerows(curve)
        header = {"schema": SCHEMA, "key": experiment.key, "config": experiment.config()}
        write_json(self.file(experiment), {**header, **result})


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
    temporary = file.with_suffix(".json.tmp")
    temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    temporary.replace(file)
