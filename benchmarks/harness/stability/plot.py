"""The map of collapse as a picture: heads beside each other, methods over learning rates."""

from collections.abc import Sequence
from pathlib import Path

from df_heads.benchmarks.harness.plots.drawing import new_figure, save_with_vectors
from df_heads.benchmarks.harness.stability.recipe import METHODS, RATES
from df_heads.benchmarks.harness.stability.table import OWN, Trial, heads_of, where_own_lives


def draw_map(trials: Sequence[Trial], stem: Path) -> list[Path]:
    """Draw the share of collapsed runs, over batch sizes, guards, backbones and seeds.

    White: there is none, as lightly's own head does not live there.

    Returns:
        The files.
    """
    trials = shown(trials)
    heads = heads_of(trials)
    columns = max(1, len(heads))
    figure, axes = new_figure(1, columns, width=1.5 + 2.9 * columns, height=3.4)
    image = None
    for axis, head in zip(axes[0], heads, strict=False):
        image = axis.imshow(_shares(trials, head), vmin=0, vmax=1, cmap="cividis", aspect="auto")
        axis.set_title(head)
        axis.set_xticks(range(len(RATES)), [f"{o} {r:g}" for o, r in RATES], rotation=90)
        axis.set_yticks(range(len(METHODS)), METHODS if axis is axes[0][0] else [""] * len(METHODS))
        for row, method in enumerate(METHODS):
            for column, rate in enumerate(RATES):
                here = _at(trials, head, method, rate)
                if here:
                    dead = sum(t["collapsed"] for t in here)
                    color = "black" if 2 * dead > len(here) else "white"
                    text = f"{dead}/{len(here)}"
                    axis.text(column, row, text, ha="center", va="center", color=color, fontsize=6)
    if image is not None:
        figure.colorbar(image, ax=axes[0].tolist(), label="share of collapsed runs")
    return save_with_vectors(figure, stem)


def shown(trials: Sequence[Trial]) -> list[Trial]:
    """The runs that are drawn: all of lightly's own head, of others those where it lives."""
    own = [trial for trial in trials if trial["head"] == OWN]
    return own + [trial for trial in where_own_lives(trials) if trial["head"] != OWN]


def _shares(trials: Sequence[Trial], head: str) -> list[list[float]]:
    rows = []
    for method in METHODS:
        found = [_at(trials, head, method, rate) for rate in RATES]
        rows.append([sum(t["collapsed"] for t in f) / len(f) if f else float("nan") for f in found])
    return rows


def _at(trials: Sequence[Trial], head: str, method: str, rate: tuple[str, float]) -> list[Trial]:
    return [
        t
        for t in trials
        if (t["head"], t["method"], t["optimizer"], t["learning_rate"]) == (head, method, *rate)
    ]
