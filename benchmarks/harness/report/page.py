"""The report as one page."""

import re
from collections.abc import Sequence
from pathlib import Path

from df_heads.benchmarks.harness.report.facts import (
    budget,
    commits,
    cost,
    data_notes,
    hardware,
    joined,
    versions,
)
from df_heads.benchmarks.harness.report.not_run import not_run
from df_heads.benchmarks.harness.report.result_files import ResultFile
from df_heads.benchmarks.harness.report.sections import Benchmarks, Section, read_sections
from df_heads.benchmarks.harness.report.verdicts import summary
from df_heads.benchmarks.harness.tables.blocks import (
    Block,
    Bullets,
    Code,
    Figure,
    Heading,
    Inline,
    Link,
    Listing,
    Paragraph,
    Strong,
    Text,
)
from df_heads.benchmarks.harness.tables.text import link_address
from df_heads.benchmarks.harness.tables.values import Duration

TITLE = "Results"
INTRO = (
    "Does a projection head that attends over the batch help, when, and why? This page holds what "
    "was measured for an answer. ",
    Code("python benchmarks/run_report.py"),
    " makes it from the result files and nothing else: every table is made again by the script of "
    "the command under it, so all of its cells have one budget, and a cell without a result file "
    'says "not run". The paper\'s numbers are those of arXiv 2403.18681, after 1000 epochs '
    "(Table 1: 200). ",
    Link("What was not run", "#not-run"),
    " is listed at the end, with the commands for it.",
)


def page(root: Path, page_folder: Path, benchmarks: Benchmarks) -> list[Block]:
    """The whole page.

    Args:
        root: The results tree.
        page_folder: Where RESULTS.md will be; the commands name folders from there.
        benchmarks: Whose commands a section may have.

    Raises:
        InputError: If the tree has no section, or a file in it is bad.
    """
    sections = read_sections(root, benchmarks)
    links = [
        Link("Summary", "#summary"),
        *(section.link for section in sections),
        Link("Not run", "#not-run"),
    ]
    return [
        Heading(1, TITLE),
        Paragraph(INTRO),
        _total(sections),
        Bullets(links),
        Heading(2, "Summary"),
        *summary(sections),
        *(block for section in sections for block in _section(section, page_folder)),
        Heading(2, "Not run"),
        *not_run(root, sections, benchmarks),
    ]


def _total(sections: Sequence[Section]) -> Paragraph:
    """What all of it cost; a result that two sections show counts once."""
    every = {
        section.folder / file.name: file.origin for section in sections for file in section.found
    }
    origins = [origin for origin in every.values() if origin is not None]
    time = Duration(sum(origin.seconds or 0.0 for origin in origins))
    return Paragraph(f"In all: {len(origins)} result files, {time}, on {hardware(origins)}.")


def _section(section: Section, page_folder: Path) -> list[Block]:
    out_dir = link_address(section.folder, page_folder)
    return [
        section.heading,
        Paragraph(section.benchmark.question),
        *([Paragraph(section.note)] if section.note else []),
        Paragraph(
            (
                Strong("Budget."),
                f" {budget(section.args, section.files)}.{_of_the_papers(section)}",
            )
        ),
        *section.blocks,
        *_figures(section),
        _facts(section),
        Listing(f"{section.command} --out-dir {out_dir}", "bash"),
    ]


def _of_the_papers(section: Section) -> str:
    """How much shorter than the paper's the runs are."""
    ours = getattr(section.args, "epochs", None)
    if ours is None:
        return ""
    papers = section.benchmark.parse([]).epochs
    return "" if ours == papers else f" Not the paper's: {ours} epochs, not {papers}."


def _facts(section: Section) -> Bullets:
    origins = section.origins
    if not origins:
        return Bullets([(Strong("Cost."), " nothing was run")])
    missing = len(section.files) - len(origins)
    facts: dict[str, Sequence[Inline]] = {
        "Cost": [cost(origins) + (f"; {missing} more not run" if missing else "")],
        "Hardware": [hardware(origins)],
        "Versions": [versions(origins)],
        "Commits": commits(origins),
        "Data": data_notes(origins),
        "Files": _files(section),
    }
    items: list[Text] = [
        (Strong(f"{name}."), " ", *pieces) for name, pieces in facts.items() if pieces
    ]
    return Bullets(items)


def _figures(section: Section) -> list[Block]:
    names = section.benchmark.figures(section.args)
    found = [file for name in names if (file := section.folder / name).exists()]
    if not found and section.found and names:
        return [
            Paragraph("The figure was not drawn; the command below with --table-only draws it.")
        ]
    return [Figure(f"{section.title}: {re.sub(r'[-_]+', ' ', file.stem)}", file) for file in found]


def _files(section: Section) -> list[Inline]:
    links = [Link(_short_name(file), section.folder / file.name) for file in section.found]
    return [Link("folder", section.folder), ": ", *joined(", ", [[link] for link in links])]


def _short_name(file: ResultFile) -> str:
    """Enough to tell a section's files apart at a glance."""
    experiment = file.experiment
    if experiment is None:
        return file.name
    short = f"{experiment.head} seed {experiment.seed} {experiment.key[:4]}"
    return f"{short} {file.evaluation}" if file.evaluation else short
