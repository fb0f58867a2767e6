"""What the project can run at its full budget, and how much of it a tree has."""

import argparse
from collections.abc import Sequence
from pathlib import Path, PurePath

from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.plan.benchmark import Benchmark, FullRun
from df_heads.benchmarks.harness.report.facts import joined, short_budget
from df_heads.benchmarks.harness.report.result_files import ResultFile, result_files
from df_heads.benchmarks.harness.report.sections import Benchmarks, Section, parse_command
from df_heads.benchmarks.harness.store.files import read_json
from df_heads.benchmarks.harness.store.results import ResultFolder
from df_heads.benchmarks.harness.tables.blocks import (
    Block,
    Bullets,
    Code,
    Details,
    Inline,
    Paragraph,
    Strong,
    Text,
)

INTRO = (
    "The full budget is the paper's 1000 epochs (Table 1: 200), with three seeds where the paper "
    "has one (Table 1: one); for what the paper does not have, that of its command."
)


def not_run(root: Path, sections: Sequence[Section], benchmarks: Benchmarks) -> list[Block]:
    """What of the full runs a tree lacks, what it has instead, and the command for each.

    Args:
        root: The tree.
        sections: Its sections.
        benchmarks: Whose full runs there should be.
    """
    nowhere = ResultFolder(root / "no results", create=False)
    folders = [ResultFolder(folder, create=False) for folder in {s.folder: None for s in sections}]
    items: list[Text] = []
    complete = []
    for benchmark in benchmarks.values():
        for full in benchmark.full_runs:
            command = f"python benchmarks/{benchmark.script}.py {full.flags}".strip()
            _, args = parse_command(command, benchmarks)
            wanted = {file.name for file in _trained(benchmark, args, nowhere)}
            there = {
                file.name
                for folder in folders
                for file in _trained(benchmark, args, folder)
                if file.origin is not None
            }
            if there == wanted:
                complete.append(full.title)
                continue
            state = "Run in part" if there else "Not run"
            count = f"{len(there)} of {len(wanted)} result files at the full budget"
            others = [section for section in sections if _same(section, benchmark, full, args)]
            question = f" {full.question}" if full.question else ""
            items.append(
                (
                    Strong(f"{full.title}."),
                    f"{question} {state}: {count}. At other budgets: ",
                    *_links(others),
                    ". ",
                    Code(command),
                )
            )
    return [
        Paragraph(INTRO),
        *(
            [Details(f"What was not run at the full budget: {len(items)}", [Bullets(items)])]
            if items
            else []
        ),
        *([Paragraph(f"Run at the full budget: {'; '.join(complete)}.")] if complete else []),
        *_missing(sections),
        *_unclaimed(root, sections),
    ]


def _trained(
    benchmark: Benchmark, args: argparse.Namespace, results: ResultFolder
) -> list[ResultFile]:
    """The files that a command wants; the backbones before training do not count."""
    try:
        benchmark.table(args, results)
    except InputError:  # the folder has the file of another budget
        return []
    return [file for file in result_files(benchmark, args, results) if file.trained]


def _same(section: Section, benchmark: Benchmark, full: FullRun, args: argparse.Namespace) -> bool:
    """Whether a section has results of what a full run is about, at whatever budget."""
    if section.benchmark is not benchmark or not section.found:
        return False
    narrow = ["suites", *(["datasets"] if "--datasets" in full.flags else [])]
    return all(
        not set(getattr(args, flag)).isdisjoint(getattr(section.args, flag))
        for flag in narrow
        if hasattr(args, flag)
    )


def _links(sections: Sequence[Section]) -> list[Inline]:
    if not sections:
        return ["nothing"]
    parts: list[list[Inline]] = []
    for section in sections:
        budget = short_budget(section.files)
        parts.append([section.link, *([f": {budget}"] if budget else [])])
    return joined("; ", parts)


def _missing(sections: Sequence[Section]) -> list[Block]:
    """A list of what the sections' own commands have not done."""
    items: list[Text] = []
    for section in sections:
        missing = [file.name for file in section.files if file.origin is None]
        if missing:
            names = joined(", ", [[Code(PurePath(name).stem)] for name in missing])
            items.append((section.link, f", {len(missing)} of {len(section.files)}: ", *names))
    if not items:
        return [Paragraph("Of the commands in the sections above every result is there.")]
    intro = "Of the commands in the sections above these results are missing:"
    return [Paragraph(intro), Bullets(items)]


def _unclaimed(root: Path, sections: Sequence[Section]) -> list[Block]:
    """A list of the runs in the tree that no section shows."""
    shown = {section.folder / file.name for section in sections for file in section.files}
    stray = [
        file
        for file in sorted(root.rglob("*.json"))
        # What runs work with is no result.
        if "work" not in file.relative_to(root).parts
        and file not in shown
        and {"config", "metrics"} <= read_json(file).keys()
    ]
    if not stray:
        return []
    names = [Code(file.relative_to(root).as_posix()) for file in stray]
    return [Paragraph("Results that are in no section:"), Bullets(names)]
