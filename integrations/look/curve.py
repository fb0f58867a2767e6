"""The training of a run, epoch by epoch, and the loss at which it would have collapsed."""

import csv
import math
from dataclasses import dataclass
from typing import Any

from df_heads.integrations.choices import METHODS
from df_heads.integrations.errors import InputError
from df_heads.integrations.method.classes import method_class
from df_heads.integrations.runs import Run

#: What a column of accuracy or rank is called, in a sentence.
QUALITIES = {"knn": "kNN accuracy", "rank_me": "RankMe (effective dimensions)"}


@dataclass(frozen=True)
class Curve:
    """Values by epoch.

    Attributes:
        epochs: Numbers of the finished epochs.
        loss: The mean loss of each.
        quality_name: "knn", "rank_me" or "" if neither was measured.
        quality: Its values; NaN where it was not measured.
        collapsed_loss: The loss if all projections are equal; None where no number is known.
        collapsed_why: How that number comes about.
    """

    epochs: list[int]
    loss: list[float]
    quality_name: str
    quality: list[float]
    collapsed_loss: float | None
    collapsed_why: str


def read_curve(run: Run) -> Curve | None:
    """The curve.csv of a run; None if there is none or it is empty.

    Raises:
        InputError: If it is damaged.
    """
    if not run.curve_file.is_file():
        return None
    try:
        with run.curve_file.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        if not rows:
            return None
        name = next((name for name in QUALITIES if name in rows[0]), "")
        epochs = [int(row["epoch"]) for row in rows]
        loss = [float(row["loss"]) for row in rows]
        quality = [_number(row[name]) for row in rows] if name else []
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(
            f"{run.curve_file} is damaged ({error}); move it away to look at the run without it."
        ) from error
    level, why = collapsed_loss(run.config.method, run.config.method_options, run.config.recipe)
    return Curve(epochs, loss, name, quality, level, why)


def collapsed_loss(
    method: str, options: dict[str, Any], recipe: dict[str, Any]
) -> tuple[float | None, str]:
    """The loss of projections that are all equal, and how it comes about."""
    batch = recipe.get("batch_size")
    known = next((name for name in METHODS if name == method), None)
    if known is None:  # of a newer version
        return None, ""
    size = batch if isinstance(batch, int) and batch > 1 else None
    return method_class(known).collapsed_loss(size, options) or (None, "")


def _number(text: str | None) -> float:
    return float(text) if text else math.nan
