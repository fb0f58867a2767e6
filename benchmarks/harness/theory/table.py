"""The runs of the theory benchmark as a Markdown table, one row per setting."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from df_heads.benchmarks.harness.base.text_table import markdown_table
from df_heads.benchmarks.harness.theory.measures import Measured
from df_heads.benchmarks.harness.theory.subspaces import Setting

Runs = Mapping[Setting, Sequence[Measured]]

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


def theory_table(sweeps: Sequence[Sweep], runs: Runs) -> str:
    """The table of all sweeps."""
    first = next(iter(runs.values()))
    last = len(first[0].scores)
    header = [
        "varied", "value", "delta", "Delta", "delta < Delta", "bound on S",
        "S, block 1", "block 2", f"block {last}", "factor",
    ]  # fmt: skip
    rows = [
        [sweep.title, f"{value:g}", *_cells(runs[setting])]
        for sweep in sweeps
        for setting, value in zip(sweep.settings, sweep.values, strict=True)
    ]
    return markdown_table(header, rows)


def caption(base: Setting, seeds: int) -> str:
    """What the columns are and where the sweeps cross."""
    return CAPTION.format(seeds=seeds, **vars(base))


def median(values: Sequence[float | None]) -> float | None:
    """The median of those that are numbers; None of none."""
    defined = [value for value in values if value is not None]
    return statistics.median(defined) if defined else None


def number(value: float | None) -> str:
    """Three digits; a dash for None."""
    return "-" if value is None else f"{value:.3g}"


def _cells(measured: Sequence[Measured]) -> list[str]:
    def column(values: Sequence[float | None]) -> str:
        defined = [value for value in values if value is not None]
        if len(defined) < 2 or number(min(defined)) == number(max(defined)):
            return number(median(values))
        return f"{number(median(values))} [{number(min(defined))}, {number(max(defined))}]"

    return [
        number(measured[0].delta),
        number(median([m.capital_delta for m in measured])),
        f"{sum(m.separable for m in measured)} of {len(measured)}",
        number(median([m.sharpness_bound for m in measured])),
        number(median([m.scores[0] for m in measured])),
        column([m.scores[1] for m in measured]),
        column([m.scores[-1] for m in measured]),
        number(median([m.factor_derived for m in measured])),
    ]
