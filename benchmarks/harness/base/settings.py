"""What a field of an experiment is: its flag, its help, its source and its limits."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from df_heads.benchmarks.harness.base.errors import InputError


@dataclass(frozen=True)
class Setting:
    """One field of an experiment, beside its name, type and default.

    Attributes:
        help: What it is, in a few words.
        source: Where the default comes from.
        group: The group of its command-line flag; empty for a field that only tables and suites
            set.
        default_help: The default in words, where the value does not tell.
        metavar: Of the flag.
        choices: Its values, if there are few.
        least: Smallest value; `above` if that is excluded.
        most: Largest value; `below` if that is excluded.
        methods: The training methods that have it; empty for all.
    """

    help: str
    source: str = ""
    group: str = ""
    default_help: str = ""
    metavar: str | None = None
    choices: Sequence[str] = ()
    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None
    methods: Sequence[str] = ()

    def check(self, name: str, value: Any) -> None:
        """Check a value.

        Raises:
            InputError: If it is not finite or beyond a limit.
        """
        if self.choices and value not in self.choices:
            raise InputError(f"{name}={value} is not known; choose from {', '.join(self.choices)}.")
        if value is None or isinstance(value, bool | str):
            return
        if not math.isfinite(value):
            raise InputError(f"{name}={value} must be a finite number.")
        if self.least is not None and value < self.least:
            raise InputError(f"{name}={value} is too small; it must be at least {self.least:g}.")
        if self.above is not None and value <= self.above:
            raise InputError(f"{name}={value} must be above {self.above:g}.")
        if self.most is not None and value > self.most:
            raise InputError(f"{name}={value} is too large; it must be at most {self.most:g}.")
        if self.below is not None and value >= self.below:
            raise InputError(f"{name}={value} must be below {self.below:g}.")


def setting(default: Any = dataclasses.MISSING, help: str = "", **facts: Any) -> Any:
    """A dataclass field that carries a Setting; without a default it must be given.

    Args:
        default: The field's default.
        help: See Setting.
        facts: The other attributes of Setting.
    """
    return dataclasses.field(default=default, metadata={"setting": Setting(help, **facts)})


def settings_of(experiment_class: type) -> Mapping[str, Setting]:
    """Field name -> its Setting, in order."""
    fields = dataclasses.fields(experiment_class)
    return {field.name: field.metadata["setting"] for field in fields}


def attributes_text(experiment_class: type) -> str:
    """The "Attributes:" section of the docstring, from the fields."""
    lines = ["Attributes:"]
    for field in dataclasses.fields(experiment_class):
        about: Setting = field.metadata["setting"]
        text = about.help[:1].upper() + about.help[1:]
        if about.methods:
            text += f"; {', '.join(about.methods)} only"
        if about.default_help:
            text += f"; default: {about.default_help}"
        lines.append(f"    {field.name}: {text}{f' ({about.source})' if about.source else ''}.")
    return "\n".join(lines)
