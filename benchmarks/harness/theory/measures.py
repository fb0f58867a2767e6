"""What is measured on one union of subspaces: the paper's bounds beside the true values."""

from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from torch import Tensor

from df_heads.benchmarks.harness.theory.blocks import block_maps, scores
from df_heads.benchmarks.harness.theory.subspaces import (
    Setting,
    add_noise,
    draw_union,
    noise_directions,
)
from df_heads.fusion import (
    cluster_integrity,
    noise_bounds,
    same_class_mass,
    sharpness,
    theorem1_weights,
    theorem2_factor,
)

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


@torch.no_grad()
def measure(
    setting: Setting, seed: int, *, blocks: int, restarts: int, iterations: int
) -> Measured:
    """Draw one union and measure it.

    Args:
        setting: What to draw.
        seed: Of the draw, the noise and the searches.
        blocks: Depth of the stack.
        restarts: Of Algorithm 1.
        iterations: Of Algorithm 1.
    """
    generator = torch.Generator().manual_seed(seed)
    drawn, labels, bases = draw_union(setting, generator)
    same = labels[:, None] == labels
    sizes = labels.bincount().double()[labels]
    n = len(labels)
    weights = theorem1_weights(
        drawn, labels, bases, restarts=restarts, iterations=iterations, seed=seed
    )
    directions = torch.stack([weights.mT[labels == k][0] for k in range(setting.clusters)])

    cosines = (drawn * weights.mT).sum(1)
    side = torch.where(cosines < 0, -1.0, 1.0).double()[:, None]
    clean = side * drawn
    # A cosine, but rounding can leave it above 1.
    rho = min(1.0, float(cosines.abs().min()))
    rho_definition = cluster_integrity(
        drawn, labels, bases=bases, restarts=restarts, iterations=iterations, seed=seed
    ).rho
    a = scores(clean, weights)
    bound = sizes[:, None] * rho**2

    noisy = add_noise(clean, setting.eps, noise_directions(setting, directions, generator))
    delta, capital_delta = noise_bounds(setting.eps, rho)
    transformed = (noisy @ weights).abs()
    noisy_a = scores(noisy, weights)
    pair = sizes[:, None] + sizes
    across_bound = pair * delta + (n - pair) * delta**2
    within_bound = sizes[:, None] * capital_delta**2
    separable = delta < capital_delta
    lowest, highest = float(within_bound.min()), float(across_bound[~same].max())
    bound_on_sharpness = lowest / highest if highest else float("inf")

    one_side, attention = block_maps(noisy, weights, blocks)
    residual, _ = block_maps(noisy, weights, blocks, residual=True)
    both_sides, attention_both = block_maps(side * noisy, weights, blocks)
    return Measured(
        setting=setting,
        seed=seed,
        rho=rho,
        rho_definition=rho_definition,
        clean_across=float(a[~same].abs().max()),
        clean_one_side=float((a / bound)[same].min()),
        clean_both_sides=float((side * side.mT * a / bound)[same].min()),
        clean_definition=float((a / (sizes[:, None] * rho_definition**2))[same].min()),
        delta=delta,
        capital_delta=capital_delta,
        across=float(transformed[~same].max()),
        within=float(transformed[same].min()),
        sharpness_bound=bound_on_sharpness if separable else None,
        across_holds=bool((noisy_a.abs() <= across_bound + ZERO)[~same].all()),
        within_holds=bool((noisy_a >= within_bound - ZERO)[same].all()) if separable else None,
        factor_derived=theorem2_factor(n, delta, capital_delta) if separable else None,
        factor_printed=theorem2_factor(n, delta, capital_delta, "printed") if separable else None,
        scores=_sharpness_of_scores(one_side, labels),
        attention=sharpness(attention, labels).tolist(),
        mass=same_class_mass(attention, labels).others.tolist(),
        scores_residual=_sharpness_of_scores(residual, labels),
        scores_both_sides=_sharpness_of_scores(both_sides, labels),
        mass_both_sides=same_class_mass(attention_both, labels).others.tolist(),
    )


def _sharpness_of_scores(maps: Tensor, labels: Tensor) -> list[float]:
    return [float(s) for s in sharpness(maps.where(maps.abs() >= ZERO, 0.0), labels)]


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
