"""The figure of the head over more and more samples; importing this imports no torch."""

from pathlib import Path
from typing import Any

from df_heads.benchmarks.harness.plots.drawing import COLORS, new_figure, save_with_vectors

MARKERS = "os"


def draw_scaling(content: dict[str, Any], stem: Path, *, title: str) -> list[Path]:
    """Draw what `measure_scaling` returns, on logarithmic axes, with the fitted slopes.

    Args:
        content: The measurements.
        stem: The files to write, without their endings.
        title: What was measured where.

    Returns:
        The files.

    Raises:
        InputError: If matplotlib is not installed.
    """
    figure, axes = new_figure(1, 2, width=9, height=3.6)
    time, memory = axes[0]
    for (name, curve), color, marker in zip(
        content["curves"].items(), COLORS, MARKERS, strict=False
    ):
        tokens, style = curve["tokens"], {"color": color, "marker": marker, "markersize": 4.5}
        timings = curve["milliseconds"]
        time.fill_between(
            tokens,
            [timing["low"] for timing in timings],
            [timing["high"] for timing in timings],
            color=color,
            alpha=0.2,
            linewidth=0,
        )
        medians = [timing["median"] for timing in timings]
        time.plot(tokens, medians, label=f"{name}: slope {curve['time_slope']:.2f}", **style)
        label = f"{name}: slope {curve['memory_slope']:.2f}"
        memory.plot(tokens, curve["memory_mib"], label=label, **style)
    time.set_ylabel("time of one training pass, ms")
    memory.set_ylabel("peak memory beyond the weights, MiB")
    ticks = sorted({n for curve in content["curves"].values() for n in curve["tokens"]})
    for axis in (time, memory):
        axis.set_xscale("log", base=2)
        axis.set_yscale("log")
        axis.set_xticks(ticks, [f"{n:,}" for n in ticks], fontsize="small", rotation=30)
        axis.set_xlabel("samples")
        axis.legend(frameon=False, fontsize=8)
    figure.suptitle(f"Small head, {title}", fontsize="medium")
    return save_with_vectors(figure, stem)
