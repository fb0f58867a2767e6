"""The draws of the theory benchmark as a table, one row per setting."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from df_heads.benchmarks.harness.tables.blocks import Cell, Paragraph, Table
from df_heads.benchmarks.harness.tables.values import OutOf, Value
from df_heads.benchmarks.harness.theory.measured import Measured
from df_heads.benchmarks.harness.theory.setting import Setting

#: What was measured in each setting, a draw for each seed.
Draws = Mapping[Setting, Sequence[Measured]]

CAPTION = """Median over {seeds} seeds, in brackets the least and the most. S: sharpness
(Definition 2) of A = (XW)(XW)^T, W from Theorem 1, samples on one side of w. "bound on S" is on
that of block 1, from delta and Delta; "factor" is Theorem 2's, as the appendix derives it.
"aimed noise" points at another cluster's w. Base point: K = {clusters}, r = {rank}, n = {samples},
m = {width}, {angle:g} degrees, eps = {eps:g}."""


@dataclass(frozen=True)
class Sweep:
    """One factor varied around the base point.

    Attributes:
        title: What is varied.
        field: Of Setting.
        settings: In order.
    """

    title: str
    field: str
    settings: tuple[Setting, ...]

    @property
    def values(self) -> list[float]:
        """The factor at each setting."""
        return [getattr(setting, self.field) for setting in self.settings]


@dataclass(frozen=True)
class Digits(Value):
    """A number of three digits; a dash for None."""

    value: float | None

    def __str__(self) -> str:
        return "-" if self.value is None else f"{self.value:.3g}"


@dataclass(frozen=True)
class Spread(Value):
    """The median, and in brackets the least and the most, if they read differently."""

    values: Sequence[float | None]

    def __str__(self) -> str:
        defined = [value for value in self.values if value is not None]
        middle = str(Digits(median(defined)))
        if not defined or str(Digits(min(defined))) == str(Digits(max(defined))):
            return middle
        return f"{middle} [{Digits(min(defined))}, {Digits(max(defined))}]"


def theory_table(sweeps: Sequence[Sweep], draws: Draws) -> Table:
    """The table of all sweeps."""
    first = next(iter(draws.values()))
    last = len(first[0].scores)
    headings = [
        "varied", "value", "delta", "Delta", "delta < Delta", "bound on S",
        "S, block 1", "block 2", f"block {last}", "factor",
    ]  # fmt: skip
    rows: list[list[Cell]] = [
        [sweep.title, f"{value:g}", *_cells(draws[setting])]
        for sweep in sweeps
        for setting, value in zip(sweep.settings, sweep.values, strict=True)
    ]
    return Table(headings, rows)


def caption(base: Setting, seeds: int) -> Paragraph:
    """What the columns are and where the sweeps cross."""
    return Paragraph(CAPTION.format(seeds=seeds, **vars(base)))


def median(values: Sequence[float | None]) -> float | None:
    """The median of those that are numbers; None of none."""
    defined = [value for value in values if value is not None]
    return statistics.median(defined) if defined else None


def _cells(measured: Sequence[Measured]) -> list[Value]:
    return [
        Digits(measured[0].delta),
        Digits(median([m.capital_delta for m in measured])),
        OutOf(sum(m.separable for m in measured), len(measured)),
        Digits(median([m.sharpness_bound for m in measured])),
        Digits(median([m.scores[0] for m in measured])),
        Spread([m.scores[1] for m in measured]),
        Spread([m.scores[-1] for m in measured]),
        Digits(median([m.factor_derived for m in measured])),
    ]
