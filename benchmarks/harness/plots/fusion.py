"""The figures of Table 1: attention maps of the first head, and every measure over the layers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from df_heads.benchmarks.harness.evaluate.fusing import FusionMaps
from df_heads.benchmarks.harness.plots.drawing import COLORS, new_figure, save_figure
from df_heads.fusion import FusionSummary, LayerFusion

#: Attribute of LayerFusion -> title.
PANELS = {
    "same_class_mass": "attention to others of the class",
    "own_mass": "attention to oneself",
    "entropy": "perplexity of the attention",
    "sharpness_quantile": "sharpness (5 % quantiles)",
    "silhouette": "silhouette of the tokens",
    "neighbor_purity": "nearest token of the same class",
}

#: More class names than this cannot be read.
MOST_NAMES = 40
# Below this the colors would show rounding.
LEAST_RANGE = 0.01


def draw_maps(result: FusionMaps, layers: Sequence[int], file: Path) -> None:
    """The first head's attention in some layers (from 0), side by side, sorted by class.

    All panels share one color scale, from the 0.5 % to the 99.5 % quantile of what is drawn: how
    many times the weight of uniform attention.
    """
    tokens = len(result.labels)
    relative = [result.maps[layer].astype(np.float32) * tokens for layer in layers]
    low, high = np.quantile(np.stack(relative), (0.005, 0.995))
    low, high = min(low, 1 - LEAST_RANGE), max(high, 1 + LEAST_RANGE)
    figure, axes = new_figure(1, len(layers), width=2.1 * len(layers) + 1, height=2.9)
    edges = np.flatnonzero(np.diff(result.labels)) + 0.5
    image: Any = None
    for axis, layer, weights in zip(axes.flat, layers, relative, strict=True):
        image = axis.imshow(weights, cmap="viridis", vmin=low, vmax=high)
        axis.set_title(f"layer {layer + 1}")
        axis.set_xticks(edges, [])
        axis.set_yticks(edges, [])
        _name_classes(axis.xaxis, result)
    _name_classes(axes.flat[0].yaxis, result)
    axes.flat[0].set_ylabel("class that attends")
    axes.flat[len(layers) // 2].set_xlabel("class that is attended to")
    figure.colorbar(image, ax=axes, label="times uniform", shrink=0.8, extend="both")
    save_figure(figure, file)


def _name_classes(axis: Any, result: FusionMaps) -> None:
    """The name of each class in the middle of its tokens; they are sorted by class."""
    present, first, count = np.unique(result.labels, return_index=True, return_counts=True)
    if len(present) > MOST_NAMES:
        return
    names = [result.classes[label] for label in present]
    axis.set_ticks(first + (count - 1) / 2, names, minor=True)
    turned = max(map(len, names)) > 2
    axis.set_tick_params(
        which="minor", length=0, labelsize=6, rotation=90 * turned * (axis.axis_name == "x")
    )


def draw_measures(results: Mapping[str, FusionMaps], file: Path) -> None:
    """Every measure over the layers, one color a head: solid after training, dotted before.

    The line is the mean over attention heads, the band reaches from the least to the most.
    """
    figure, axes = new_figure(2, 3, width=10.5, height=6.0)
    for axis, (name, title) in zip(axes.flat, PANELS.items(), strict=True):
        for color, (family, result) in zip(COLORS, results.items(), strict=False):
            first, last = min(result.summaries), max(result.summaries)
            for epoch, style in ((first, ":"), (last, "-")):
                values = measure(result.summaries[epoch], name)
                layers = np.arange(1, len(values) + 1)
                label = family if epoch == last else f"{family}, untrained"
                axis.plot(layers, values.mean(1), style, color=color, label=label)
                if epoch == last:
                    axis.fill_between(
                        layers, values.min(1), values.max(1), color=color, alpha=0.15, lw=0
                    )
        if name == "same_class_mass":
            chance = next(iter(results.values())).summaries
            axis.axhline(next(iter(chance.values())).chance, color="0.5", lw=0.8, ls="--")
        axis.set_title(title)
        axis.set_xlabel("layer")
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    save_figure(figure, file)


def measure(summary: FusionSummary, name: str) -> npt.NDArray[np.float64]:
    """One measure as (layers, attention heads); NaN where it is not defined."""
    rows = [_numbers(layer, name) for layer in summary.layers]
    values = np.array(rows, dtype=np.float64)
    return np.exp(values) if name == "entropy" else values


def _numbers(layer: LayerFusion, name: str) -> list[float]:
    value = getattr(layer, name)
    numbers = value if isinstance(value, list) else [value]
    return [float("nan") if number is None else number for number in numbers]
