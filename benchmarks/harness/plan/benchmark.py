"""What a run_*.py offers, and how all of them are found."""

import argparse
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import df_heads.benchmarks
from df_heads.benchmarks.harness.base.registry import Registry
from df_heads.benchmarks.harness.plan.topics import Topic
from df_heads.benchmarks.harness.store.results import ResultFolder
from df_heads.benchmarks.harness.sweep.jobs import Job
from df_heads.benchmarks.harness.tables.blocks import Block

_PREFIX = "run_"


@dataclass(frozen=True)
class FullRun:
    """A command at its full budget: the paper's, for what is in the paper.

    Attributes:
        title: What it makes, in words.
        flags: Of the script.
        question: What it asks, where the title does not tell.
    """

    title: str
    flags: str = ""
    question: str = ""


@dataclass(frozen=True)
class Drawn:
    """A picture that a benchmark draws.

    Attributes:
        name: Of the PNG file, within the folder.
        caption: What is drawn, and how to read it.
        alt: What is to be seen in it, from the result files.
    """

    name: str
    caption: str
    alt: str


def no_jobs(_: argparse.Namespace) -> Sequence[Job]:
    """Of a benchmark that trains nothing."""
    return ()


def no_figures(_: argparse.Namespace, __: ResultFolder) -> Sequence[Drawn]:
    """Of a benchmark that draws nothing."""
    return ()


@dataclass(frozen=True)
class Benchmark:
    """One question, its runs and its table. A run_*.py holds one under the name BENCHMARK.

    Attributes:
        name: Of its table's file, and of its script behind "run_".
        title: In words.
        question: One sentence, the first of the script's docstring.
        parse: From a command line, without the script's name, to the flags.
        table: From the flags and a results folder to its blocks; "not run" stands where there is
            no result.
        main: Runs what is missing, then writes and prints the table; returns the exit code.
        full_runs: Its commands at full budget.
        jobs: Its cells, from the flags.
        files: Names of the result files that its table is made of, within the folder, from the
            flags; None for those of its jobs.
        figures: What it draws, from the flags and a results folder.
        topic: The part of the report that it is in, from the flags.
        in_run_all: Whether run_all.py runs it.
    """

    name: str
    title: str
    question: str
    parse: Callable[[Sequence[str] | None], argparse.Namespace]
    table: Callable[[argparse.Namespace, ResultFolder], Sequence[Block]]
    main: Callable[[Sequence[str] | None], int]
    full_runs: Sequence[FullRun]
    jobs: Callable[[argparse.Namespace], Sequence[Job]] = no_jobs
    files: Callable[[argparse.Namespace], Sequence[str]] | None = None
    figures: Callable[[argparse.Namespace, ResultFolder], Sequence[Drawn]] = no_figures
    topic: Callable[[argparse.Namespace], Topic] = lambda _: Topic.OTHER
    in_run_all: bool = False

    @property
    def script(self) -> str:
        """The name of its script, without the ending."""
        return f"{_PREFIX}{self.name}"


def question_of(doc: str | None) -> str:
    """The first line of a script's docstring."""
    return (doc or "").strip().partition("\n")[0]


def _from_outside(name: str, found: Any) -> Benchmark:
    if not isinstance(found, Benchmark):
        raise TypeError(f"it must be a {Benchmark.__module__}.Benchmark, not {found!r}")
    if found.name != name:
        raise ValueError(f"its entry point must have its name, {found.name!r}")
    return found


def benchmarks() -> Mapping[str, Benchmark]:
    """All benchmarks by name: the run_*.py of this folder, and the entry points of others.

    The paper's tables come first, what is not of the project last.

    Raises:
        InputError: If an entry point has a name of ours, does not import or is no benchmark.
    """
    registry: Registry[Benchmark] = Registry(
        "benchmark", _from_outside, group="df_heads.benchmarks"
    )
    names = [module.name for module in pkgutil.iter_modules(df_heads.benchmarks.__path__)]
    scripts = [name for name in names if name.startswith(_PREFIX)]
    for script in sorted(scripts, key=lambda name: (not name.startswith("run_table"), name)):
        loaded = import_module(f"df_heads.benchmarks.{script}")
        benchmark = getattr(loaded, "BENCHMARK", None)
        if benchmark is not None:
            registry.add(benchmark.name, benchmark)
    return {name: registry.find(name) for name in registry.names()}
