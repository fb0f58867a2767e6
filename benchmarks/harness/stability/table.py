"""The map of collapse as text: shares with Wilson intervals, alarms counted."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from df_heads.benchmarks.harness.base.statistics import wilson_interval
from df_heads.benchmarks.harness.stability.recipe import CANDIDATES, HEADS, METHODS
from df_heads.benchmarks.harness.tables.blocks import Block, Cell, Paragraph, Table
from df_heads.benchmarks.harness.tables.values import NOT_RUN, Number, OutOf, Value

Trial = Mapping[str, Any]
OWN = HEADS[0]
#: An alarm must come within so many steps of the collapse.
PROMPT = 20


@dataclass(frozen=True)
class Share(Value):
    """Collapsed runs of all, with the 95 % Wilson interval of their share; "not run" of none."""

    trials: Sequence[Trial]

    def __str__(self) -> str:
        if not self.trials:
            return NOT_RUN
        dead, total = _count(self.trials, _died), len(self.trials)
        low, high = wilson_interval(dead, total)
        return f"{OutOf(dead, total)} ({100 * low:.0f} to {100 * high:.0f} %)"


def where_own_lives(trials: Sequence[Trial]) -> list[Trial]:
    """The runs in settings in which lightly's own head of the method lives with every seed run."""
    tried = {_setting(t) for t in trials if t["head"] == OWN}
    dead = {_setting(t) for t in trials if t["head"] == OWN and t["collapsed"]}
    return [trial for trial in trials if _setting(trial) in tried - dead]


def heads_of(trials: Sequence[Trial]) -> list[str]:
    """The heads that were run, in the order of recipe.HEADS and CANDIDATES."""
    present = {trial["head"] for trial in trials}
    return [head for head in (*HEADS, *CANDIDATES) if head in present]


def blocks_of(trials: Sequence[Trial]) -> list[Block]:
    """Table and sentences, from the runs alone."""
    if not trials:
        return [Paragraph(NOT_RUN)]
    living = where_own_lives(trials)
    count = len({_setting(trial) for trial in living})
    return [
        Paragraph(
            f"Collapsed runs of all runs in the {count} recipes in which lightly's own head lives "
            "with every seed, with the 95 % Wilson interval of their share.",
            "k-NN: of the backbone's features on the test digits, in percent, median over the "
            "recipes in which the head lives; gain: its mean over lightly's own head where both "
            "live.",
        ),
        Table(
            ["head", "collapsed", *METHODS, "k-NN", "gain"],
            [_row(head, living) for head in heads_of(trials)],
        ),
        Paragraph(
            f"lightly's own head collapsed in {Share([t for t in trials if t['head'] == OWN])} of "
            "all recipes tried.",
            _alarms(trials),
        ),
    ]


def _row(head: str, trials: Sequence[Trial]) -> list[Cell]:
    ours = [t for t in trials if t["head"] == head]
    by_method = [[t for t in ours if t["method"] == method] for method in METHODS]
    own = {_recipe(t): t["knn"] for t in trials if t["head"] == OWN}
    knn = [t["knn"] for t in ours if t["knn"] is not None]
    gains = [
        t["knn"] - own[_recipe(t)]
        for t in ours
        if t["knn"] is not None and head != OWN and _recipe(t) in own
    ]
    return [
        head,
        Share(ours),
        *(OutOf(_count(some, _died), len(some)) for some in by_method),
        Number(statistics.median(knn) if knn else None, ".1f"),
        Number(statistics.fmean(gains) if gains else None, "+.1f"),
    ]


def _alarms(trials: Sequence[Trial]) -> str:
    dead = [t for t in trials if t["collapsed"]]
    alive = [t for t in trials if not t["collapsed"]]

    def prompt(trial: Trial) -> bool:
        return trial["alarm"] is not None and trial["alarm"] - trial["since"] <= PROMPT

    missed, false = _count(dead, lambda t: not prompt(t)), _count(alive, _rang)
    return (
        f"The alarm came within {PROMPT} steps on {len(dead) - missed} of {len(dead)} collapsed "
        f"runs, and on {false} of {len(alive)} runs that lived."
    )


def _rang(trial: Trial) -> bool:
    return trial["alarm"] is not None


def _died(trial: Trial) -> bool:
    return bool(trial["collapsed"])


def _count(trials: Sequence[Trial], condition: Callable[[Trial], bool]) -> int:
    return sum(condition(trial) for trial in trials)


def _setting(trial: Trial) -> tuple[Any, ...]:
    """The recipe whatever its seed."""
    names = ("method", "backbone", "optimizer", "learning_rate", "warmup", "clip")
    return tuple(trial[name] for name in (*names, "batch_size", "steps"))


def _recipe(trial: Trial) -> tuple[Any, ...]:
    return (*_setting(trial), trial["seed"])
