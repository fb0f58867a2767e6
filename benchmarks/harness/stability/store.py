"""The runs of the map, one JSON file for each head, method and backbone."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from df_heads.benchmarks.harness.base.environment import Environment, describe_environment
from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.stability.recipe import Recipe
from df_heads.benchmarks.harness.store.files import read_json, read_struct, write_json

SCHEMA = 1


class _Trial(msgspec.Struct, forbid_unknown_fields=True):
    """A run as its file holds it: the recipe, the head, what came of it."""

    head: str
    method: str
    backbone: str
    optimizer: str
    learning_rate: float
    warmup: float
    clip: float | None
    batch_size: int
    seed: int
    steps: int
    collapsed: bool
    cause: str | None
    since: int | None
    alarm: int | None
    steps_run: int
    first_loss: float | None
    last_loss: float | None
    spread: float | None
    mean_cosine: float | None
    rank: float | None
    knn: float | None
    seconds: float
    commit: str | None


class _Trials(msgspec.Struct, forbid_unknown_fields=True):
    """The content of a file."""

    schema: int
    environment: Environment
    seconds: float
    trials: list[_Trial]


class TrialFolder:
    """Runs by head and recipe, kept in a folder.

    A file names the environment of its last run; each run names its commit.

    Args:
        path: The folder.
        create: Whether to create it if it is not there.

    Raises:
        InputError: If a file in it is damaged or of another version.
    """

    def __init__(self, path: Path, *, create: bool = True) -> None:
        try:
            if create:
                path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"out dir {path} cannot be made ({error}); choose another.") from error
        self.path = path
        self._environment = msgspec.to_builtins(describe_environment("cpu", 1))
        self._files: dict[str, dict[str, Any]] = {}
        for file in sorted(path.glob("trials-*.json")):
            content = read_json(file)
            if content.get("schema") != SCHEMA:
                raise InputError(f"{file} is of another version; move it away and run again.")
            read_struct(file, _Trials)
            self._files[file.name] = content

    @property
    def trials(self) -> list[dict[str, Any]]:
        """All runs."""
        return [trial for content in self._files.values() for trial in content["trials"]]

    def find(self, recipe: Recipe, head: str) -> dict[str, Any] | None:
        """The run of a head in a recipe; None if there is none."""
        key = recipe.key(head)
        name = file_name(recipe.method, recipe.backbone, head)
        trials = self._files.get(name, {"trials": ()})["trials"]
        return next((t for t in trials if all(t[k] == v for k, v in key.items())), None)

    def add(self, trial: Mapping[str, Any]) -> None:
        """Keep a run; its file appears whole or not at all."""
        name = file_name(trial["method"], trial["backbone"], trial["head"])
        before = self._files.get(name, {"trials": []})["trials"]
        trials = [*before, {**trial, "commit": self._environment["commit"]}]
        self._files[name] = {
            "schema": SCHEMA,
            "environment": self._environment,
            "seconds": round(sum(trial["seconds"] for trial in trials), 1),
            "trials": trials,
        }
        write_json(self.path / name, self._files[name])


def file_name(method: str, backbone: str, head: str) -> str:
    """The file of the runs of a head."""
    return f"trials-{method}-{backbone}-{head}.json"
