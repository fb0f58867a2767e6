"""What a field of an experiment is: its flag, its help, its source and its limits."""

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from df_heads.benchmarks.harness.base.errors import InputError

_NAME = re.compile(r"\w[\w.:+/-]*")


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
        least: Smallest value.
        above: Value that it stays above.
        most: Largest value.
        below: Value that it stays below.
        methods: The training methods that have it; empty for all.
        defaults_of_methods: The defaults of methods that have another one.
        is_name: Whether it is a name or an import path, which becomes a part of file names.
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
    defaults_of_methods: Mapping[str, Any] = field(default_factory=dict)
    is_name: bool = False

    def check(self, name: str, value: Any) -> None:
        """Check a value.

        Raises:
            InputError: If it is not one of the choices, no name, or out of its range.
        """
        flag = f"--{name.replace('_', '-')}"
        if self.is_name:
            if not isinstance(value, str) or _NAME.fullmatch(value) is None:
                raise InputError(
                    f"{flag} {value!r} is no name; use letters, digits and any of . _ - + : / "
                    "after them."
                )
        elif self.choices:
            if value not in self.choices:
                raise InputError(f"{flag} {value} is not known; use {', '.join(self.choices)}.")
        elif value is not None and not isinstance(value, bool) and not self._allows(value):
            raise InputError(f"{flag} {value} must be a number{self._range()}.")

    def _allows(self, value: Any) -> bool:
        if not isinstance(value, int | float) or not math.isfinite(value):
            return False
        # Each comparison is written so that NaN fails it.
        return (
            (self.least is None or value >= self.least)
            and (self.above is None or value > self.above)
            and (self.most is None or value <= self.most)
            and (self.below is None or value < self.below)
        )

    def _range(self) -> str:
        if self.least is not None and self.most is not None:
            return f" from {self.least:.10g} to {self.most:.10g}"
        parts = [
            f"{words} {limit:.10g}"
            for words, limit in (
                ("of at least", self.least),
                ("above", self.above),
                ("at most", self.most),
                ("below", self.below),
            )
            if limit is not None
        ]
        return f" {' and '.join(parts)}" if parts else ""


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
    return {each.name: each.metadata["setting"] for each in fields}


def attributes_text(experiment_class: type) -> str:
    """The "Attributes:" section of the docstring, from the fields."""
    lines = ["Attributes:"]
    for each in dataclasses.fields(experiment_class):
        about: Setting = each.metadata["setting"]
        text = about.help[:1].upper() + about.help[1:]
        if about.methods:
            text += f"; {', '.join(about.methods)} only"
        if about.default_help:
            text += f"; default: {about.default_help}"
        lines.append(f"    {each.name}: {text}{f' ({about.source})' if about.source else ''}.")
    return "\n".join(lines)
