"""What a section of the report says of its runs: budget, cost, machine, versions, data."""

import argparse
import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from df_heads.benchmarks.harness.base.experiment import Experiment
from df_heads.benchmarks.harness.base.text_table import duration
from df_heads.benchmarks.harness.report.folder import Record
from df_heads.benchmarks.harness.report.text import plain

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


def budget(args: argparse.Namespace, records: Sequence[Record]) -> str:
    """The budget in words: of the runs, or, where there are none, the flags that set it."""
    trained = [r.experiment for r in records if r.experiment is not None and r.trained]
    if not trained:
        return "; ".join(
            f"{name.replace('_', ' ')} {_words(value)}"
            for name, value in vars(args).items()
            if name not in NO_BUDGET
        )
    holdouts = [experiment.holdout for experiment in trained if experiment.holdout]
    parts = [
        _data(trained, records),
        f"{_values(trained, 'image_size')} px",
        f"{_values(trained, 'epochs')} epochs in batches of {_values(trained, 'batch_size')}",
        f"backbone {_values(trained, 'backbone')}",
        learning_rates(trained),
        _seeds(trained),
        *([f"{_words(_unique(holdouts))} of each training class held out"] if holdouts else []),
        *_other(trained),
    ]
    return "; ".join(parts)


def short_budget(records: Sequence[Record]) -> str:
    """Data, images, epochs and backbone, for a line of the summary."""
    trained = [r.experiment for r in records if r.experiment is not None and r.trained]
    if not trained:
        return ""
    return ", ".join(
        [
            _data(trained, records),
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


def _data(trained: Sequence[Experiment], records: Sequence[Record]) -> str:
    sizes: dict[str, list[int]] = {}
    for record in records:
        data = record.content.get("data") if record.content else None
        if record.experiment is not None and isinstance(data, dict) and "train" in data:
            sizes.setdefault(record.experiment.dataset, []).append(data["train"])
    words = []
    for name in _unique(experiment.dataset for experiment in trained):
        asked = _unique(e.train_images for e in trained if e.dataset == name)
        counts = sizes.get(name) or [count for count in asked if count is not None]
        images = " or ".join(f"{count:,}" for count in sorted(_unique(counts))) or "all"
        words.append(f"{name} ({images} training images)")
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
    return f"{value:g}" if isinstance(value, float) else plain(str(value))


def seconds_of(content: Mapping[str, Any]) -> float | None:
    """What a result cost, all phases together; None if its file does not say."""
    seconds = content.get("seconds")
    if isinstance(seconds, dict):
        return float(sum(seconds.values()))
    return None if seconds is None else float(seconds)


def cost(contents: Sequence[Mapping[str, Any]]) -> str:
    """Time of training and evaluating, over all results."""
    known = [seconds for content in contents if (seconds := seconds_of(content)) is not None]
    count = f"{len(contents)} result {'file' if len(contents) == 1 else 'files'}"
    if not known:
        return f"not recorded ({count})"
    rest = len(contents) - len(known)
    return f"{duration(sum(known))} ({count}{f', {rest} without a time' if rest else ''})"


def hardware(contents: Sequence[Mapping[str, Any]]) -> str:
    """The machines."""
    return _of_environments(contents, "hardware")


def commits(contents: Sequence[Mapping[str, Any]]) -> str:
    """The commits, short; "+" stands for changes that were not committed."""
    found = _unique(str(content["environment"].get("commit")) for content in contents)
    return ", ".join(f"`{commit[:10]}{'+' if commit.endswith('+') else ''}`" for commit in found)


def versions(contents: Sequence[Mapping[str, Any]]) -> str:
    """Python and the packages; several versions of one are joined by "or"."""
    by_package: dict[str, list[str]] = {}
    for content in contents:
        environment = content["environment"]
        python = {"Python": environment.get("python")}
        for name, version in {**python, **environment.get("packages", {})}.items():
            by_package.setdefault(name, []).append(str(version))
    return ", ".join(f"{name} {' or '.join(_unique(found))}" for name, found in by_package.items())


def data_notes(contents: Sequence[Mapping[str, Any]]) -> str:
    """What is particular about the copies of the data, and their fingerprints."""
    notes = []
    for content in contents:
        data = content.get("data")
        if isinstance(data, dict):
            note = f", {plain(data['note'])}" if data.get("note") else ""
            notes.append(f"{data.get('name')} `{data.get('fingerprint')}`{note}")
    return "; ".join(_unique(notes))


def _of_environments(contents: Sequence[Mapping[str, Any]], name: str) -> str:
    found = _unique(str(content["environment"].get(name)) for content in contents)
    return "; ".join(map(plain, found))
