"""The numbers of one draw and how they are stored; importing this imports no torch."""

from dataclasses import asdict, dataclass, fields
from typing import Any

from df_heads.benchmarks.harness.theory.setting import Setting

# What Theorem 1 makes 0 is 1e-15 in floating point; below this an entry counts as 0.
ZERO = 1e-10
DIGITS = 6


@dataclass(frozen=True)
class Measured:
    """The numbers of one setting and seed; None where a formula is not defined.

    "One side" means that every sample has its sign turned so that x^T w > 0 for the w of its
    cluster, the condition that the proof of Theorem 1 takes for granted; "both sides" are the same
    samples with the signs they were drawn with.

    Attributes:
        setting: What was drawn.
        seed: And how.
        rho: The least |x^T w| of clean samples and the w of their own clusters.
        rho_definition: Definition 1, whose u is orthogonal to one cluster instead.
        clean_across: The largest |A_ij| across clusters, clean samples.
        clean_one_side: The least A_ij / (nu_i rho^2) within clusters, clean samples.
        clean_both_sides: The same on both sides.
        clean_definition: As clean_one_side for the rho of Definition 1.
        delta: Bound on |x^T w| across clusters, noisy.
        capital_delta: Bound on |x^T w| within, noisy.
        across: The largest |x^T w| across clusters, noisy.
        within: The least within.
        sharpness_bound: nu Delta^2 over (nu_i + nu_j) delta + (n - nu_i - nu_j) delta^2.
        across_holds: Whether every entry across is within that denominator.
        within_holds: Whether every entry within is at least nu_i Delta^2, as printed.
        factor_derived: Theorem 2's factor as the appendix derives it.
        factor_printed: As the body prints it.
        scores: Sharpness of A, block by block.
        attention: Sharpness of softmax(A).
        mass: Attention mass on the own cluster, oneself left out.
        scores_residual: Sharpness of A where blocks have a residual connection.
        scores_both_sides: Sharpness of A where samples lie on both sides of w.
        mass_both_sides: Attention mass there.
    """

    setting: Setting
    seed: int
    rho: float
    rho_definition: float
    clean_across: float
    clean_one_side: float
    clean_both_sides: float
    clean_definition: float
    delta: float
    capital_delta: float
    across: float
    within: float
    sharpness_bound: float | None
    across_holds: bool
    within_holds: bool | None
    factor_derived: float | None
    factor_printed: float | None
    scores: list[float]
    attention: list[float]
    mass: list[float]
    scores_residual: list[float]
    scores_both_sides: list[float]
    mass_both_sides: list[float]

    @property
    def separable(self) -> bool:
        """The paper's condition, delta < Delta."""
        return self.delta < self.capital_delta

    def to_json(self) -> dict[str, Any]:
        """Plain data, numbers to six digits, infinite ones as "inf"."""
        return {name: _plain(value) for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "Measured":
        """The opposite of to_json."""
        read = {field.name: _number(content[field.name]) for field in fields(cls)}
        return cls(**{**read, "setting": Setting(**content["setting"])})


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        rounded = float(f"{value:.{DIGITS}g}")
        return rounded if abs(rounded) < float("inf") else str(rounded)
    return value


def _number(value: Any) -> Any:
    if isinstance(value, list):
        return [_number(item) for item in value]
    return float(value) if isinstance(value, str) else value
