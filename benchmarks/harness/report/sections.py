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
from typing import Any, Protocol

from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.report.folder import ReadFolder, Record
from df_heads.benchmarks.harness.report.text import plain, slug
from df_heads.benchmarks.harness.store.files import read_json
from df_heads.benchmarks.harness.store.results import ResultFolder

MANIFEST = "report.json"


class Script(Protocol):
    """What a run_*.py offers to the report."""

    def parse(self, arguments: Sequence[str] | None, /) -> argparse.Namespace:
        """Read its command line."""

    def table(self, args: argparse.Namespace, results: ResultFolder, /) -> str:
        """Its text, from the result files; "not run" stands where there is none."""


#: Name of a script, such as run_table2, to the script.
Scripts = Mapping[str, Script]


@dataclass(frozen=True)
class Section:
    """A command and what it left in a folder.

    Attributes:
        folder: Where its result files are.
        title: The heading.
        command: As it was typed, without --out-dir.
        note: What the reader should know before reading on; may be empty.
        script: The name of its script.
        args: Its parsed flags.
        text: The table, as Markdown.
        records: The result files that the table is made of, those not there included.
    """

    folder: Path
    title: str
    command: str
    note: str
    script: str
    args: argparse.Namespace
    text: str
    records: Sequence[Record]

    @property
    def anchor(self) -> str:
        """Where the page has it."""
        return slug(self.title)

    @property
    def link(self) -> str:
        """A link to it, within the page."""
        return f"[{plain(self.title)}](#{self.anchor})"

    @property
    def found(self) -> list[Record]:
        """The result files that are there."""
        return [record for record in self.records if record.content is not None]

    @property
    def contents(self) -> list[Mapping[str, Any]]:
        """Their contents."""
        return [record.content for record in self.records if record.content is not None]


def read_sections(root: Path, scripts: Scripts) -> list[Section]:
    """The sections of all folders of a results tree, in the order of their paths.

    Raises:
        InputError: If there is none, or a manifest, a command or a result file is bad.
    """
    if not root.is_dir():
        raise InputError(f"{root} is no folder; give --results the folder of the result files.")
    manifests = sorted(root.rglob(MANIFEST), key=lambda file: file.parent.parts)
    sections = [section for file in manifests for section in _read_manifest(file, scripts)]
    if not sections:
        raise InputError(
            f"{root} has no {MANIFEST} in it; put one beside the result files, with the commands "
            "that made them."
        )
    by_anchor: dict[str, Section] = {}
    for section in sections:
        other = by_anchor.setdefault(section.anchor, section)
        if other is not section:
            raise InputError(
                f"{section.folder / MANIFEST}: the title {section.title!r} is taken by "
                f"{other.folder / MANIFEST}; give it another."
            )
    return sections


def _read_manifest(file: Path, scripts: Scripts) -> list[Section]:
    entries = read_json(file).get("sections")
    if not isinstance(entries, list):
        raise InputError(f'{file} has no list "sections".')
    return [_read_section(file, entry, scripts) for entry in entries]


def _read_section(file: Path, entry: Any, scripts: Scripts) -> Section:
    texts = isinstance(entry, dict) and all(isinstance(value, str) for value in entry.values())
    if not texts or not {"title", "command"} <= entry.keys() <= {"title", "command", "note"}:
        raise InputError(
            f"{file}: a section has a title, a command and, if need be, a note, all text; this is "
            f"{json.dumps(entry)[:200]}."
        )
    try:
        name, args = parse_command(entry["command"], scripts)
        folder = ReadFolder(file.parent)
        text = _table(scripts[name], args, folder)
    except InputError as error:
        raise InputError(f"{file}, section {entry['title']!r}: {error}") from error
    return Section(
        folder=file.parent,
        title=entry["title"],
        command=entry["command"],
        note=entry.get("note", ""),
        script=name,
        args=args,
        text=text,
        records=list(folder.records.values()),
    )


def parse_command(command: str, scripts: Scripts) -> tuple[str, argparse.Namespace]:
    """The name of a command's script, and its flags as the script parses them.

    Raises:
        InputError: If it is not a command of one of the scripts, or the script refuses it.
    """
    try:
        python, script, *flags = shlex.split(command)
    except ValueError:
        python, script, flags = "", "", []
    name = PurePath(script).stem
    if python != "python" or name not in scripts:
        raise InputError(
            f"the command {command!r} is not python benchmarks/SCRIPT with one of "
            f"{', '.join(f'{known}.py' for known in scripts)}."
        )
    if any(flag.split("=")[0] == "--out-dir" for flag in flags):
        raise InputError(
            f"the command {command!r} names --out-dir; leave it out, it is the folder of the file."
        )
    said = io.StringIO()
    try:
        # argparse tells what it does not like on stderr, --help on stdout, and exits.
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            args = scripts[name].parse(flags)
    except SystemExit as error:
        lines = said.getvalue().strip().splitlines() or [""]
        reason = lines[-1].partition("error: ")[2] or "it prints its help"
        raise InputError(f"the command {command!r} does not run: {reason}.") from error
    return name, args


def _table(script: Script, args: argparse.Namespace, folder: ReadFolder) -> str:
    try:
        return script.table(args, folder)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise InputError(
            f"a result file in {folder.path} lacks what the table needs ({error!r}); move it away "
            "to run it again."
        ) from error
