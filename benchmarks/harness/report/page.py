"""The report as one page."""

from collections.abc import Sequence
from pathlib import Path

from df_heads.benchmarks.harness.plan.topics import Topic
from df_heads.benchmarks.harness.report.facts import (
    budget,
    commits,
    cost,
    data_notes,
    hardware,
    joined,
    short_budget,
    versions,
)
from df_heads.benchmarks.harness.report.not_run import not_run
from df_heads.benchmarks.harness.report.result_files import ResultFile
from df_heads.benchmarks.harness.report.sections import Benchmarks, Section, read_sections
from df_heads.benchmarks.harness.report.verdicts import summary, verdict_lines
from df_heads.benchmarks.harness.tables.blocks import (
    Block,
    Bullets,
    Code,
    Contents,
    Details,
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
QUESTION = "Does a projection head that attends over the batch help, when, and why?"
SUMMARY, NOT_RUN, ABOUT = (
    Heading(2, "Summary"),
    Heading(2, "Not run"),
    Heading(2, "About this page"),
)
TOPICS = {topic: Heading(2, topic.value) for topic in Topic}
MADE = (
    Code("python benchmarks/run_report.py"),
    " makes this page from the result files and nothing else: every table is made again by the "
    "script of the command under it, so all of its cells have one budget, and a cell without a "
    'result file says "not run". The paper\'s numbers are those of arXiv 2403.18681, after 1000 '
    "epochs (Table 1: 200).",
)


def page(root: Path, page_folder: Path, benchmarks: Benchmarks) -> list[Block]:
    """The whole page: the verdict, all gains, a part for each question, what was not run.

    Args:
        root: The results tree.
        page_folder: Where RESULTS.md will be; the commands name folders from there.
        benchmarks: Whose commands a section may have.

    Raises:
        InputError: If the tree has no section, or a file in it is bad.
    """
    sections = read_sections(root, benchmarks, [SUMMARY, NOT_RUN, ABOUT, *TOPICS.values()])
    parts = {
        heading: here
        for topic, heading in TOPICS.items()
        if (here := [section for section in sections if section.topic is topic])
    }
    return [
        Heading(1, TITLE),
        Paragraph(QUESTION),
        *verdict_lines(sections),
        Contents(
            [
                (_link(SUMMARY), []),
                *((_link(heading), [one.link for one in here]) for heading, here in parts.items()),
                (_link(NOT_RUN), []),
                (_link(ABOUT), []),
            ]
        ),
        SUMMARY,
        *summary(sections),
        *(block for heading, here in parts.items() for block in _part(heading, here, page_folder)),
        NOT_RUN,
        *not_run(root, sections, benchmarks),
        ABOUT,
        Paragraph(MADE),
        _total(sections),
    ]


def _link(heading: Heading) -> Link:
    return Link(heading.text, f"#{heading.anchor}")


def _part(heading: Heading, sections: Sequence[Section], page_folder: Path) -> list[Block]:
    return [heading, *(block for section in sections for block in _section(section, page_folder))]


def _total(sections: Sequence[Section]) -> Paragraph:
    """What all of it cost; a result that two sections show counts once."""
    every = {
        section.folder / file.name: file.origin for section in sections for file in section.found
    }
    origins = [origin for origin in every.values() if origin is not None]
    time = Duration(sum(origin.seconds or 0.0 for origin in origins))
    return Paragraph(f"In all: {len(origins)} result files, {time}, on {hardware(origins)}.")


def _section(section: Section, page_folder: Path) -> list[Block]:
    return [
        section.heading,
        Paragraph(section.benchmark.question),
        *([Paragraph(section.note)] if section.note else []),
        Paragraph((Strong("Budget."), f" {_budget(section)}")),
        *section.blocks,
        *_figures(section),
        Details(
            "How it was measured: the whole budget, cost, machine, files and command",
            _facts(section, page_folder),
        ),
    ]


def _budget(section: Section) -> str:
    """In short, where runs tell it; else all flags."""
    words = short_budget(section.files) or budget(section.args, section.files)
    return f"{words}. {section.of_the_paper}".rstrip()


def _facts(section: Section, page_folder: Path) -> list[Block]:
    command = f"{section.command} --out-dir {link_address(section.folder, page_folder)}"
    origins = section.origins
    missing = len(section.files) - len(origins)
    facts: dict[str, Sequence[Inline]] = {
        "Budget": [f"{budget(section.args, section.files)}."],
        "Cost": [cost(origins) + (f"; {missing} more not run" if missing else "")],
    }
    if origins:
        facts |= {
            "Hardware": [hardware(origins)],
            "Versions": [versions(origins)],
            "Commits": commits(origins),
            "Data": data_notes(origins),
            "Files": _files(section),
        }
    items: list[Text] = [
        (Strong(f"{name}."), " ", *pieces) for name, pieces in facts.items() if pieces
    ]
    return [Bullets(items), Listing(command, "bash")]


def _figures(section: Section) -> list[Block]:
    drawn = section.figures
    found = [one for one in drawn if (section.folder / one.name).exists()]
    if not found and section.found and drawn:
        return [
            Paragraph("The figure was not drawn; the command below with --table-only draws it.")
        ]
    return [Figure(one.caption, section.folder / one.name, one.alt) for one in found]


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
