"""A folder of results that remembers what was read from it: what a table was made from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.base.experiment import UNTRAINED, Experiment
from df_heads.benchmarks.harness.store.results import Kind, ResultFolder

# (group, name) of what a result file must hold.
OF_ALL = (("environment", "hardware"), ("environment", "packages"))
NUMBERS = ("metrics", "seconds", "parameters")


@dataclass(frozen=True)
class Record:
    """A result file that a table asked for.

    Attributes:
        name: Of the file, within the folder.
        experiment: The run that it is of; None for a file of another kind.
        content: None if it is not there.
    """

    name: str
    experiment: Experiment | None
    content: Mapping[str, Any] | None

    @property
    def trained(self) -> bool:
        """Whether it stands for work: anything but the backbone before training."""
        return self.experiment is None or self.experiment.head != UNTRAINED


class ReadFolder(ResultFolder):
    """A `ResultFolder` to read from. A path that is not there is a folder without results.

    Attributes:
        records: What was asked for, in the order of asking, by the file's name.
    """

    def __init__(self, path: Path) -> None:
        self.path = path  # the base class would make the folder
        self.records: dict[str, Record] = {}

    def load_file(self, name: str) -> dict[str, Any] | None:
        """See `ResultFolder.load_file`."""
        content = super().load_file(name)
        if content is not None:
            _check(self.path / name, content, OF_ALL)
        self.records[name] = Record(name, None, content)
        return content

    def load_as(self, kind: type[Kind], file: Path, experiment: Experiment) -> Kind | None:
        """See `ResultFolder.load_as`."""
        result = super().load_as(kind, file, experiment)
        name = file.relative_to(self.path).as_posix()
        content = None if result is None else msgspec.to_builtins(result)
        self.records[name] = Record(name, experiment, content)
        return result


def _check(file: Path, content: Mapping[str, Any], needed: Sequence[tuple[str, str]]) -> None:
    """Raise InputError if a file lacks what tables and the report take from it."""
    for group, name in needed:
        values = content.get(group)
        value = values.get(name) if isinstance(values, dict) else None
        if value is None or (group in NUMBERS and not isinstance(value, (int, float))):
            raise InputError(
                f"{file} is damaged (its {group} {name} is {value!r}); move it away to run "
                "it again."
            )
