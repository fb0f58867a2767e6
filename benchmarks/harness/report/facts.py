"""What a section of the report says of its runs: budget, cost, machine, versions, data."""

import argparse
import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

from df_heads.benchmarks.harness.base.experiment import Experiment
from df_heads.benchmarks.harness.report.result_files import Origin, ResultFile
from df_heads.benchmarks.harness.tables.blocks import Code, Inline
from df_heads.benchmarks.harness.tables.values import Duration

# Flags that decide no number, or that the experiments tell better.
NO_BUDGET = (
    "out_dir", "table_only", "progress", "smoke", "quick", "logger", "resume", "data_dir",
    "cache_dir", "data_note", "workers",
)  # fmt: skip
# Fields of Experiment that `budget` words itself, and those that every table shows.
_WORDED = (
    "dataset", "image_size", "train_images", "epochs", "batch_size", "backbone", "learning_rate",
    "seed", "head", "holdout",
)  # fmt: skip


def budget(args: argparse.Namespace, files: Sequence[ResultFile]) -> str:
    """The budget in words: of the runs, or, where there are none, the flags that set it."""
    trained = [f.experiment for f in files if f.experiment is not None and f.trained]
    if not trained:
        return "; ".join(
            f"{name.replace('_', ' ')} {_words(value)}"
            for name, value in vars(args).items()
            if name not in NO_BUDGET and value is not None and value is not False
        )
    holdouts = [experiment.holdout for experiment in trained if experiment.holdout]
    parts = [
        _data(trained, files),
        f"{_values(trained, 'image_size')} px",
        f"{_values(trained, 'epochs')} epochs in batches of {_values(trained, 'batch_size')}",
        f"backbone {_values(trained, 'backbone')}",
        learning_rates(trained),
        _seeds(trained),
        *([f"{_words(_unique(holdouts))} of each training class held out"] if holdouts else []),
        *_other(trained),
    ]
    return "; ".join(parts)


def short_budget(files: Sequence[ResultFile]) -> str:
    """Data, images, epochs and backbone, for a line of the summary."""
    trained = [f.experiment for f in files if f.experiment is not None and f.trained]
    if not trained:
        return ""
    return ", ".join(
        [
            _data(trained, files),
            f"{_values(trained, 'epochs')} epochs",
            _values(trained, "backbone"),
        ]
    )


def learning_rates(trained: Sequence[Experiment]) -> str:
    """The peak learning rates: of all heads, or of each where they differ."""
    by_head: dict[str, list[float]] = {}
    for experiment in trained:
        by_head.setdefault(experiment.head, []).append(experiment.learning_rate)
    rates = {head: _words(sorted(_unique(values))) for head, values in by_head.items()}
    if len(set(rates.values())) == 1:
        return f"learning rate {next(iter(rates.values()))}"
    return f"learning rates {', '.join(f'{head} {rate}' for head, rate in rates.items())}"


def _data(trained: Sequence[Experiment], files: Sequence[ResultFile]) -> str:
    sizes: dict[str, list[int]] = {}
    for file in files:
        images = file.origin.train_images if file.origin else None
        if file.experiment is not None and images is not None:
            sizes.setdefault(file.experiment.dataset, []).append(images)
    words = []
    for name in _unique(experiment.dataset for experiment in trained):
        asked = _unique(e.train_images for e in trained if e.dataset == name)
        counts = sizes.get(name) or [count for count in asked if count is not None]
        number = " or ".join(f"{count:,}" for count in sorted(_unique(counts))) or "all"
        words.append(f"{name} ({number} training images)")
    return ", ".join(words)


def _seeds(trained: Sequence[Experiment]) -> str:
    seeds = sorted(_unique(experiment.seed for experiment in trained))
    return f"{'seed' if len(seeds) == 1 else 'seeds'} {_words(seeds)}"


def _other(trained: Sequence[Experiment]) -> list[str]:
    """Fields of the recipe that all runs share and that are not at their default."""
    words = []
    for field in dataclasses.fields(Experiment):
        values = _unique(getattr(experiment, field.name) for experiment in trained)
        if field.name not in _WORDED and len(values) == 1 and values[0] != field.default:
            words.append(f"{field.name.replace('_', ' ')} {_words(values)}")
    return words


def _values(trained: Sequence[Experiment], name: str) -> str:
    return _words(_unique(getattr(experiment, name) for experiment in trained))


def _unique(values: Iterable[Any]) -> list[Any]:
    return list(dict.fromkeys(values))


def _words(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_words, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def cost(origins: Sequence[Origin]) -> str:
    """Time of training and evaluating, over all results."""
    known = [origin.seconds for origin in origins if origin.seconds is not None]
    count = f"{len(origins)} result {'file' if len(origins) == 1 else 'files'}"
    if not known:
        return f"not recorded ({count})"
    rest = len(origins) - len(known)
    return f"{Duration(sum(known))} ({count}{f', {rest} without a time' if rest else ''})"


def hardware(origins: Sequence[Origin]) -> str:
    """The machines."""
    return "; ".join(_unique(origin.environment.hardware for origin in origins))


def commits(origins: Sequence[Origin]) -> list[Inline]:
    """The commits, short; "+" stands for changes that were not committed."""
    found = _unique(str(origin.environment.commit) for origin in origins)
    short = [f"{commit[:10]}{'+' if commit.endswith('+') else ''}" for commit in found]
    return joined(", ", [[Code(commit)] for commit in short])


def versions(origins: Sequence[Origin]) -> str:
    """Python and the packages; several versions of one are joined by "or"."""
    by_package: dict[str, list[str]] = {}
    for origin in origins:
        environment = origin.environment
        for name, version in {"Python": environment.python, **environment.packages}.items():
            by_package.setdefault(name, []).append(str(version))
    return ", ".join(f"{name} {' or '.join(_unique(found))}" for name, found in by_package.items())


def data_notes(origins: Sequence[Origin]) -> list[Inline]:
    """What is particular about the copies of the data, and their fingerprints."""
    copies = _unique(origin.data for origin in origins if origin.data is not None)
    parts: list[list[Inline]] = [
        [f"{copy.name} ", Code(copy.fingerprint), *([f", {copy.note}"] if copy.note else [])]
        for copy in copies
    ]
    return joined("; ", parts)


def joined(separator: str, parts: Sequence[Sequence[Inline]]) -> list[Inline]:
    """Pieces of text with a separator between each part."""
    found: list[Inline] = []
    for part in parts:
        found += [*([separator] if found else []), *part]
    return found
