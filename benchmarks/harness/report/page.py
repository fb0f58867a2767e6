"""The report as one Markdown page."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath

from df_heads.benchmarks.harness.base.text_table import duration
from df_heads.benchmarks.harness.plan.cells import file_stem
from df_heads.benchmarks.harness.report.facts import (
    budget,
    commits,
    cost,
    data_notes,
    hardware,
    seconds_of,
    versions,
)
from df_heads.benchmarks.harness.report.folder import Record
from df_heads.benchmarks.harness.report.runnable import not_run
from df_heads.benchmarks.harness.report.sections import Scripts, Section, read_sections
from df_heads.benchmarks.harness.report.text import link, plain, relative
from df_heads.benchmarks.harness.report.verdicts import summary
from df_heads.benchmarks.harness.speed.parts import PARTS, result_file

TITLE = "Results"
INTRO = """Does a projection head that attends over the batch help, when, and why? This page holds
what was measured for an answer. `python benchmarks/run_report.py` makes it from the result files
and nothing else: every table is made again by the script of the command under it, so all of its
cells have one budget, and a cell without a result file says "not run". The paper's numbers are
those of arXiv 2403.18681, after 1000 epochs (Table 1: 200). [What was not run](#not-run) is listed
at the end, with the commands for it."""
WITHOUT_FIGURE = ("run_table2", "run_tuning")


def page(root: Path, page_folder: Path, scripts: Scripts) -> str:
    """The whole page.

    Args:
        root: The results tree.
        page_folder: Where the page will be; its links are relative to it.
        scripts: The scripts whose commands a section may have.

    Raises:
        InputError: If the tree has no section, or a file in it is bad.
    """
    sections = read_sections(root, scripts)
    links = ["[Summary](#summary)", *(section.link for section in sections), "[Not run](#not-run)"]
    parts = [
        f"# {TITLE}",
        INTRO.replace("\n", " "),
        _total(sections),
        "\n".join(f"- {link}" for link in links),
        "## Summary",
        summary(sections),
        *(_section(section, scripts, page_folder) for section in sections),
        "## Not run",
        not_run(root, sections, scripts),
    ]
    return "\n\n".join(parts) + "\n"


def _total(sections: Sequence[Section]) -> str:
    """What all of it cost; a result that two sections show counts once."""
    every = {
        section.folder / record.name: record.content
        for section in sections
        for record in section.found
    }
    contents = [content for content in every.values() if content is not None]
    seconds = sum(seconds_of(content) or 0.0 for content in contents)
    return f"In all: {len(contents)} result files, {duration(seconds)}, on {hardware(contents)}."


def _section(section: Section, scripts: Scripts, page_folder: Path) -> str:
    question = [scripts[section.script].question]
    parts = [
        f"## {plain(section.title)}",
        *map(plain, question),
        *([plain(section.note)] if section.note else []),
        f"**Budget.** {budget(section.args, section.records)}.{_of_the_papers(section, scripts)}",
        section.text,
        *_figures(section, page_folder),
        "\n".join(
            f"- **{name}.** {value}"
            for name, value in _facts(section, page_folder).items()
            if value
        ),
        f"```bash\n{section.command} --out-dir {relative(section.folder, page_folder)}\n```",
    ]
    return "\n\n".join(parts)


def _of_the_papers(section: Section, scripts: Scripts) -> str:
    """How much shorter than the paper's the runs are."""
    ours = getattr(section.args, "epochs", None)
    if ours is None:
        return ""
    papers = scripts[section.script].parse([]).epochs
    return "" if ours == papers else f" Not the paper's: {ours} epochs, not {papers}."


def _facts(section: Section, page_folder: Path) -> Mapping[str, str]:
    contents = section.contents
    if not contents:
        return {"Cost": "nothing was run"}
    missing = len(section.records) - len(contents)
    return {
        "Cost": cost(contents) + (f"; {missing} more not run" if missing else ""),
        "Hardware": hardware(contents),
        "Versions": versions(contents),
        "Commits": commits(contents),
        "Data": data_notes(contents),
        "Files": _files(section, page_folder),
    }


def _figures(section: Section, page_folder: Path) -> list[str]:
    found = [file for name in figure_names(section) if (file := section.folder / name).exists()]
    if not found and section.found and figure_names(section):
        return ["The figure was not drawn; the command below with --table-only draws it."]
    return [
        f"![{plain(_figure_title(file, section))}]({relative(file, page_folder)})" for file in found
    ]


def figure_names(section: Section) -> list[str]:
    """The PNG files that a section's script draws."""
    args, table = section.args, section.script.removeprefix("run_")
    if section.script == "run_table1":
        stem = f"table1-{args.dataset}-{args.epochs}ep"
        return [f"{stem}-measures.png", *(f"{stem}-{head}-attention.png" for head in args.heads)]
    if section.script == "run_theory":
        return ["theory.png"]
    if section.script == "run_controls":
        return [f"{file_stem(f'controls-{suite}', args)}.png" for suite in args.suites]
    if section.script == "run_speed":
        parts = [name for name, part in PARTS.items() if part.draw]
        drawn = {result_file(name, device) for name in parts for device in ("cpu", "cuda")}
        return [f"{PurePath(r.name).stem}.png" for r in section.found if r.name in drawn]
    return [] if section.script in WITHOUT_FIGURE else [f"{file_stem(table, args)}.png"]


def _figure_title(file: Path, section: Section) -> str:
    return f"{section.title}: {re.sub(r'[-_]+', ' ', file.stem)}"


def _files(section: Section, page_folder: Path) -> str:
    links = [
        link(_short_name(record), section.folder / record.name, page_folder)
        for record in section.found
    ]
    return f"{link('folder', section.folder, page_folder)}: {', '.join(links)}"


def _short_name(record: Record) -> str:
    """Enough to tell a section's files apart at a glance."""
    experiment = record.experiment
    if experiment is None:
        return record.name
    kind = PurePath(record.name).parent.name  # such as probes; empty of the run itself
    return f"{experiment.head} seed {experiment.seed} {experiment.key[:4]} {kind}".strip()
