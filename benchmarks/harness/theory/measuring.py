"""What is measured on one union of subspaces: the paper's bounds beside the true values."""

import torch
from torch import Tensor

from df_heads.benchmarks.harness.theory.blocks import block_maps, scores
from df_heads.benchmarks.harness.theory.measured import ZERO, Measured
from df_heads.benchmarks.harness.theory.setting import Setting
from df_heads.benchmarks.harness.theory.subspaces import add_noise, draw_union, noise_directions
from df_heads.fusion import (
    cluster_integrity,
    noise_bounds,
    same_class_mass,
    sharpness,
    theorem1_weights,
    theorem2_factor,
)


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
