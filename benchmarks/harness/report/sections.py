"""The sections of the report: which command made the results of a folder, and its tables again.

A folder of results says in its report.json what made it:

    {"sections": [{"title": "...", "command": "python benchmarks/run_table2.py --seeds 0 1 2",
                   "note": "..."}]}

The command is parsed by its own script, which then makes its table from the folder's files. So a
section shows the cells of one command, all of one budget, and nothing in it is copied by hand.
"""

import argparse
import contextlib
import io
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.plan.benchmark import Benchmark, Drawn
from df_heads.benchmarks.harness.plan.topics import Topic
from df_heads.benchmarks.harness.report.result_files import Origin, ResultFile, result_files
from df_heads.benchmarks.harness.store.files import read_json
from df_heads.benchmarks.harness.store.results import ResultFolder
from df_heads.benchmarks.harness.tables.blocks import Block, Heading, Link

MANIFEST = "report.json"


#: Name -> benchmark, in the order of the report.
Benchmarks = Mapping[str, Benchmark]


@dataclass(frozen=True)
class Section:
    """A command and what it left in a folder.

    Attributes:
        folder: Where its result files are.
        title: The heading.
        command: As it was typed, without --out-dir.
        note: What the reader should know before reading on; may be empty.
        benchmark: Whose command it is.
        args: Its parsed flags.
        blocks: The table, with what stands around it.
        files: The result files that the table is made of, those not there included.
    """

    folder: Path
    title: str
    command: str
    note: str
    benchmark: Benchmark
    args: argparse.Namespace
    blocks: Sequence[Block]
    files: Sequence[ResultFile]

    @property
    def heading(self) -> Heading:
        """Its heading."""
        return Heading(3, self.title)

    @property
    def link(self) -> Link:
        """A link to it, within the page."""
        return Link(self.title, f"#{self.heading.anchor}")

    @property
    def topic(self) -> Topic:
        """The question that it helps to answer."""
        return self.benchmark.topic(self.args)

    @property
    def figures(self) -> Sequence[Drawn]:
        """What its benchmark draws of its results."""
        return self.benchmark.figures(self.args, ResultFolder(self.folder, create=False))

    @property
    def of_the_paper(self) -> str:
        """A sentence if the runs are shorter or longer than the paper's; else empty."""
        ours = getattr(self.args, "epochs", None)
        if ours is None:
            return ""
        papers = self.benchmark.parse([]).epochs
        return "" if ours == papers else f"Not the paper's: {ours} epochs, not {papers}."

    @property
    def found(self) -> list[ResultFile]:
        """The result files that are there."""
        return [file for file in self.files if file.origin is not None]

    @property
    def origins(self) -> list[Origin]:
        """What made them."""
        return [file.origin for file in self.files if file.origin is not None]


def read_sections(
    root: Path, benchmarks: Benchmarks, headings: Sequence[Heading] = ()
) -> list[Section]:
    """The sections of all folders of a results tree, in the order of their paths.

    Args:
        root: The tree.
        benchmarks: Whose commands a section may have.
        headings: The page's own, which no title may take.

    Raises:
        InputError: If there is none, or a manifest, a command or a result file is bad.
    """
    if not root.is_dir():
        raise InputError(f"{root} is no folder; give --results the folder of the result files.")
    manifests = sorted(root.rglob(MANIFEST), key=lambda file: file.parent.parts)
    sections = [section for file in manifests for section in _read_manifest(file, benchmarks)]
    if not sections:
        raise InputError(
            f"{root} has no {MANIFEST} in it; put one beside the result files, with the commands "
            "that made them."
        )
    own = {heading.anchor for heading in headings}
    by_anchor: dict[str, Section] = {}
    for section in sections:
        if section.heading.anchor in own:
            raise InputError(
                f"{section.folder / MANIFEST}: the title {section.title!r} is a heading of the "
                "page; give it another."
            )
        other = by_anchor.setdefault(section.heading.anchor, section)
        if other is not section:
            raise InputError(
                f"{section.folder / MANIFEST}: the title {section.title!r} is taken by "
                f"{other.folder / MANIFEST}; give it another."
            )
    return sections


def _read_manifest(file: Path, benchmarks: Benchmarks) -> list[Section]:
    entries = read_json(file).get("sections")
    if not isinstance(entries, list):
        raise InputError(f'{file} has no list "sections".')
    return [_read_section(file, entry, benchmarks) for entry in entries]


def _read_section(file: Path, entry: Any, benchmarks: Benchmarks) -> Section:
    texts = isinstance(entry, dict) and all(isinstance(value, str) for value in entry.values())
    if not texts or not {"title", "command"} <= entry.keys() <= {"title", "command", "note"}:
        raise InputError(
            f"{file}: a section has a title, a command and, if need be, a note, all text; this is "
            f"{json.dumps(entry)[:200]}."
        )
    try:
        benchmark, args = parse_command(entry["command"], benchmarks)
        results = ResultFolder(file.parent, create=False)
        files = result_files(benchmark, args, results)
        blocks = _table(benchmark, args, results)
    except InputError as error:
        raise InputError(f"{file}, section {entry['title']!r}: {error}") from error
    return Section(
        folder=file.parent,
        title=entry["title"],
        command=entry["command"],
        note=entry.get("note", ""),
        benchmark=benchmark,
        args=args,
        blocks=blocks,
        files=files,
    )


def parse_command(command: str, benchmarks: Benchmarks) -> tuple[Benchmark, argparse.Namespace]:
    """The benchmark of a command, and its flags as the benchmark parses them.

    Raises:
        InputError: If it is not a command of one of the benchmarks, or that refuses it.
    """
    try:
        python, script, *flags = shlex.split(command)
    except ValueError:
        python, script, flags = "", "", []
    by_script = {benchmark.script: benchmark for benchmark in benchmarks.values()}
    benchmark = by_script.get(PurePath(script).stem)
    if python != "python" or benchmark is None:
        raise InputError(
            f"the command {command!r} is not python benchmarks/SCRIPT with one of "
            f"{', '.join(f'{known}.py' for known in by_script)}."
        )
    if any(flag.split("=")[0] == "--out-dir" for flag in flags):
        raise InputError(
            f"the command {command!r} names --out-dir; leave it out, it is the folder of the file."
        )
    said = io.StringIO()
    try:
        # argparse tells what it does not like on stderr, --help on stdout, and exits.
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            args = benchmark.parse(flags)
    except SystemExit as error:
        lines = said.getvalue().strip().splitlines() or [""]
        reason = lines[-1].partition("error: ")[2] or "it prints its help"
        raise InputError(f"the command {command!r} does not run: {reason}.") from error
    return benchmark, args


def _table(
    benchmark: Benchmark, args: argparse.Namespace, results: ResultFolder
) -> Sequence[Block]:
    try:
        return benchmark.table(args, results)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise InputError(
            f"a result file in {results.path} lacks what the table needs ({error!r}); move it away "
            "to run it again."
        ) from error
