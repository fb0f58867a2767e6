"""Measures of Deep Fusion in the form that loggers take: named scalars and a figure."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from df_heads.fusion import FusionSummary

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PER_HEAD = ("same_class_mass", "own_mass", "sharpness", "sharpness_quantile", "entropy")
_PER_LAYER = ("silhouette", "neighbor_purity")


def fusion_scalars(summary: FusionSummary) -> dict[str, float]:
    """One measurement as named scalars, without the measures that are not defined.

    Numbers per attention head are averaged over the heads that have one; layers count from 1.
    """
    found = {
        "fusion/chance": summary.chance,
        "fusion/input/silhouette": summary.input_silhouette,
        "fusion/input/neighbor_purity": summary.input_neighbor_purity,
    }
    for number, layer in enumerate(summary.layers, start=1):
        for name in _PER_HEAD:
            values = _defined(getattr(layer, name))
            if values:
                found[f"fusion/layer{number}/{name}"] = sum(values) / len(values)
        for name in _PER_LAYER:
            found[f"fusion/layer{number}/{name}"] = getattr(layer, name)
    return found


def same_class_mass_figure(history: Mapping[int, FusionSummary]) -> "Figure":
    """Same-class mass over the layers: the first and the last measurement, beside chance.

    Lines are means over the attention heads, dots single heads.

    Args:
        history: Summaries by number of finished epochs, the oldest first.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3.5), layout="constrained")
    axes = figure.add_subplot()
    epochs = list(history)
    for epoch, color in zip(dict.fromkeys([epochs[0], epochs[-1]]), ("0.6", "C0"), strict=False):
        points = [
            (number, values)
            for number, layer in enumerate(history[epoch].layers, start=1)
            if (values := _defined(layer.same_class_mass))
        ]
        axes.plot(
            [number for number, _ in points],
            [sum(values) / len(values) for _, values in points],
            color=color,
            label=f"after {epoch} epochs",
        )
        for number, values in points:
            axes.plot([number] * len(values), values, ".", color=color, alpha=0.5)
    last = history[epochs[-1]]
    axes.axhline(last.chance, color="0.2", linestyle="--", label="chance")
    axes.set_xticks(range(1, len(last.layers) + 1))
    axes.set_xlabel("layer")
    axes.set_ylabel("attention to others of the same class")
    axes.legend()
    return figure


def _defined(values: list[float | None]) -> list[float]:
    return [value for value in values if value is not None]
