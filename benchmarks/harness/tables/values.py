"""What a table's cell holds: data that knows how it reads."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from df_heads.benchmarks.harness.base.statistics import Summary

NOT_RUN = "not run"


class Value(ABC):
    """A value of a cell; `str` gives what a reader sees, in a sentence too."""

    @abstractmethod
    def __str__(self) -> str: ...


@dataclass(frozen=True)
class Mean(Value):
    """Mean and deviation over seeds, in percent; "not run" of nothing."""

    summary: Summary | None
    collapsed: bool = False

    def __str__(self) -> str:
        if self.summary is None:
            return NOT_RUN
        deviation = self.summary.deviation
        spread = "" if deviation is None else f" ± {deviation:.2f}"
        return f"{self.summary.mean:.2f}{spread}{' (collapsed)' if self.collapsed else ''}"


@dataclass(frozen=True)
class Gain(Value):
    """A paired difference in points, with its sign."""

    summary: Summary

    def __str__(self) -> str:
        return f"{self.summary.mean:+.2f}"


@dataclass(frozen=True)
class Interval(Value):
    """The 95 % interval of a difference; empty of one seed."""

    summary: Summary

    def __str__(self) -> str:
        if self.summary.interval is None:
            return ""
        low, high = self.summary.interval
        return f"{low:+.2f} to {high:+.2f}"


@dataclass(frozen=True)
class Duration(Value):
    """Seconds, minutes or hours, whichever reads best; empty of None."""

    seconds: float | None

    def __str__(self) -> str:
        if self.seconds is None:
            return ""
        if self.seconds < 100:
            return f"{self.seconds:.0f} s"
        if self.seconds < 6000:
            return f"{self.seconds / 60:.1f} min"
        return f"{self.seconds / 3600:.2f} h"


@dataclass(frozen=True)
class Number(Value):
    """A number as a format specification has it; empty of None."""

    value: float | None
    spec: str = ""
    unit: str = ""

    def __str__(self) -> str:
        return "" if self.value is None else f"{self.value:{self.spec}}{self.unit}"


@dataclass(frozen=True)
class Range(Value):
    """The least and the most of repeats."""

    low: float
    high: float
    spec: str

    def __str__(self) -> str:
        return f"{self.low:{self.spec}} to {self.high:{self.spec}}"


@dataclass(frozen=True)
class Millions(Value):
    """A number of parameters in millions; empty of None or 0."""

    count: int | None

    def __str__(self) -> str:
        return f"{self.count / 1e6:.2f}M" if self.count else ""


@dataclass(frozen=True)
class OutOf(Value):
    """How many of how many."""

    count: int
    total: int

    def __str__(self) -> str:
        return f"{self.count} of {self.total}"
