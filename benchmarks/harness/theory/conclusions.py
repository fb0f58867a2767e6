"""What the runs say about the paper's theory; every sentence is computed from them."""

import math
from collections.abc import Callable, Sequence

from df_heads.benchmarks.harness.tables.blocks import Bullets, Strong
from df_heads.benchmarks.harness.tables.values import OutOf
from df_heads.benchmarks.harness.theory.measured import ZERO, Measured
from df_heads.benchmarks.harness.theory.setting import Setting
from df_heads.benchmarks.harness.theory.table import Digits, Draws, Sweep, median

# The sharpness of tokens that have all become one is 1.
COLLAPSED = 0.01
# nu rho^2 is attained where a token meets itself, up to the last digits.
ATTAINED = 1 - 1e-6
# The factor, and what Theorem 2 says of a larger one: +1 a block sharpens more, -1 less.
CLAIMS = {"noise": -1, "angle between clusters": 1, "sequence length": -1}


def conclusions(sweeps: Sequence[Sweep], draws: Draws) -> Bullets:
    """A list: Theorem 1, the noise bounds, where they say nothing, Theorem 2."""
    every = [measured for seeds in draws.values() for measured in seeds]
    claims = [
        _claim(sweep, draws, CLAIMS[sweep.title]) for sweep in sweeps if sweep.title in CLAIMS
    ]
    sentences = {
        "Theorem 1, block-diagonal A.": _theorem_1(every),
        "The condition it leaves out.": _sides(every),
        "The noise bounds.": _bounds(every),
        "Where they say nothing.": _vacuous(every),
        "Theorem 2, one block.": _theorem_2(every),
        "Depth.": _depth(every),
        "What Theorem 2's factor depends on.": " ".join(claims),
    }
    return Bullets([(Strong(title), f" {text}") for title, text in sentences.items()])


def growth(measured: Measured) -> float | None:
    """Sharpness of A in block 2 over that in block 1; None if block 1's is not in (0, inf)."""
    first, second = measured.scores[:2]
    return second / first if 0 < first < math.inf else None


def _theorem_1(every: Sequence[Measured]) -> str:
    across = max(m.clean_across for m in every)
    return (
        f"On clean samples the largest entry across clusters was "
        f"{across:.1e} ({'below' if across < ZERO else 'not below'} {ZERO:.0e}). With every "
        f"cluster on one side of its w the entries within were at least nu rho^2 in "
        f"{_count(every, lambda m: m.clean_one_side >= ATTAINED)} draws for the rho of w, and in "
        f"{_count(every, lambda m: m.clean_definition >= ATTAINED)} for that of Definition 1."
    )


def _sides(every: Sequence[Measured]) -> str:
    least = median([m.clean_both_sides for m in every])
    return (
        f"With samples on both sides of w, as drawn, the least "
        f"entry within a cluster was negative in {_count(every, lambda m: m.clean_both_sides < 0)} "
        f"draws (median {Digits(least)} nu rho^2)."
    )


def _bounds(every: Sequence[Measured]) -> str:
    noisy = [m for m in every if m.delta > 0]
    reached = {
        noise: max((m.across / m.delta for m in noisy if m.setting.noise == noise), default=None)
        for noise in ("random", "aimed")
    }
    separable = [m for m in every if m.separable]
    kept = _count(
        every, lambda m: m.across <= m.delta + ZERO and m.within >= m.capital_delta - ZERO
    )
    return (
        f"|x^T w| kept to delta and Delta in {kept} draws; random noise "
        f"reached at most {Digits(reached['random'])} delta, noise aimed at another cluster "
        f"{Digits(reached['aimed'])} delta. The bound on A across clusters held in "
        f"{_count(every, lambda m: m.across_holds)}; the printed one within, nu Delta^2, in "
        f"{_count(separable, lambda m: m.within_holds is True)} of those with delta < Delta."
    )


def _vacuous(every: Sequence[Measured]) -> str:
    separable = [m for m in every if m.separable]
    return (
        f"delta >= Delta in "
        f"{_count(every, lambda m: not m.separable)} draws. Of the rest the bound on the sharpness "
        f"of block 1 was at most 1 in "
        f"{_count(separable, lambda m: (m.sharpness_bound or 0) <= 1)}, and Theorem "
        f"2's factor below 1, which promises no increase, in "
        f"{_count(separable, lambda m: (m.factor_derived or 0) < 1)} as derived and in "
        f"{_count(separable, lambda m: (m.factor_printed or 0) < 1)} as printed."
    )


def _theorem_2(every: Sequence[Measured]) -> str:
    separable = [m for m in every if m.separable]
    below = [m for m in separable if m.scores[1] < (m.factor_derived or 0) * m.scores[0]]
    return (
        f"Block 2 was sharper than block 1 in "
        f"{_count(every, lambda m: m.scores[1] > m.scores[0])} draws, and in "
        f"{_count(separable, lambda m: m.scores[1] > m.scores[0])} of those with delta < Delta. "
        f"It fell below the derived factor in {len(below)} of these, "
        f"{sum(m.delta == 0 for m in below)} of them without noise, where "
        f"block 1 is infinitely sharp and block 2 is not."
    )


def _depth(every: Sequence[Measured]) -> str:
    last = len(every[0].scores)
    separated = _count(every, lambda m: m.scores[-1] > 1 + COLLAPSED)
    both = _count(every, lambda m: m.scores_both_sides[-1] > 1 + COLLAPSED)
    return (
        f"Block {last} was sharper than block 1 in "
        f"{_count(every, lambda m: m.scores[-1] > m.scores[0])} draws "
        f"({_count(every, lambda m: m.scores_residual[-1] > m.scores_residual[0])} with a residual "
        f"connection). By then all tokens had become one (sharpness within {COLLAPSED:g} of 1) in "
        f"{_count(every, lambda m: abs(m.scores[-1] - 1) < COLLAPSED)}, and A separated the "
        f"clusters (sharpness above that) in {separated}; with samples on both "
        f"sides of w in {both}."
    )


def _claim(sweep: Sweep, draws: Draws, direction: int) -> str:
    """How one block's growth and the last block's sharpness follow the factor."""
    defined = {s: [growth(m) for m in draws[s]] for s in sweep.settings}
    kept = [s for s in sweep.settings if None not in defined[s]]
    start = f"With more {sweep.title} a block should sharpen {'more' if direction > 0 else 'less'}"
    if len(kept) < 2:
        return f"{start}; too few settings have such a sharpness to tell."
    low, high = (median(defined[s]) or 0.0 for s in (kept[0], kept[-1]))
    agrees = (high - low) * direction > 0
    values = [_value(sweep, s) for s in (kept[0], kept[-1])]
    return (
        f"{start}: {'it did' if agrees else 'it did not'}, block 2 over block 1 went from "
        f"{Digits(low)} at {values[0]} to {Digits(high)} at {values[1]}."
    )


def _value(sweep: Sweep, setting: Setting) -> str:
    return f"{getattr(setting, sweep.field):g}"


def _count(measured: Sequence[Measured], true: Callable[[Measured], bool]) -> OutOf:
    return OutOf(sum(map(true, measured)), len(measured))
