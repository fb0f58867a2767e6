"""Everything that the project can run at its full budget, and how much of it a tree has."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.plan.control_suites import SUITES
from df_heads.benchmarks.harness.report.facts import short_budget
from df_heads.benchmarks.harness.report.folder import ReadFolder, Record
from df_heads.benchmarks.harness.report.sections import Scripts, Section, parse_command
from df_heads.benchmarks.harness.store.files import read_json


@dataclass(frozen=True)
class Runnable:
    """One experiment of the project.

    Attributes:
        what: In words.
        command: What runs it at its full budget: the paper's, if it is in the paper.
        question: What it asks, where `what` does not tell.
    """

    what: str
    command: str
    question: str = ""


INTRO = """The full budget is the paper's 1000 epochs (Table 1: 200), with three seeds where the
paper has one (Table 1: one); for what the paper does not have, that of its command."""

RUNNABLE = (
    Runnable("Table 1, Deep Fusion on MNIST", "python benchmarks/run_table1.py"),
    Runnable(
        "Table 2, heads on CIFAR-10 and CIFAR-100",
        "python benchmarks/run_table2.py --seeds 0 1 2",
    ),
    Runnable(
        "Table 2, heads on ImageNet-200",
        "python benchmarks/run_table2.py --datasets imagenet200 --data-dir tiny-imagenet-200 "
        "--seeds 0 1 2",
    ),
    Runnable("Table 3, batch size", "python benchmarks/run_table3.py --seeds 0 1 2"),
    Runnable("Table 4, temperature", "python benchmarks/run_table4.py --seeds 0 1 2"),
    Runnable("Table 5, weight decay", "python benchmarks/run_table5.py --seeds 0 1 2"),
    Runnable("Table 6, classifiers", "python benchmarks/run_table6.py --seeds 0 1 2"),
    *(
        Runnable(
            f"Controls, {name}",
            f"python benchmarks/run_controls.py --suites {name} --seeds 0 1 2",
            suite.question,
        )
        for name, suite in SUITES.items()
    ),
    Runnable(
        "Robustness",
        "python benchmarks/run_robustness.py --seeds 0 1 2",
        "Does a head help where labels are few or wrong, on other data, or on corrupted images?",
    ),
    Runnable(
        "A learning rate for each head",
        "python benchmarks/run_tuning.py --epochs 100",
    ),
    Runnable("The paper's theory on data made for it", "python benchmarks/run_theory.py"),
    Runnable(
        "Speed of the whole training step, the head and the loss on a GPU",
        "python benchmarks/run_speed.py --device cuda",
    ),
)


def not_run(root: Path, sections: Sequence[Section], scripts: Scripts) -> str:
    """What of `RUNNABLE` a tree lacks, what it has instead, and the command for each.

    Args:
        root: The tree.
        sections: Its sections.
        scripts: The scripts of the commands.

    Returns:
        Lists in Markdown.
    """
    lines, complete = [], []
    for entry in RUNNABLE:
        name, args = parse_command(entry.command, scripts)
        wanted: set[str] = set()
        there: set[str] = set()
        # A folder that is not there tells what is wanted, the others what is done.
        for folder in (root / "no results", *dict.fromkeys(s.folder for s in sections)):
            records = _records(name, args, ReadFolder(folder), scripts)
            wanted |= {record.name for record in records}
            there |= {record.name for record in records if record.content is not None}
        if there == wanted:
            complete.append(entry.what)
            continue
        state = "Run in part" if there else "Not run"
        count = f"{len(there)} of {len(wanted)} result files at the full budget"
        others = [section for section in sections if _same(section, entry, name, args)]
        lines.append(
            f"- **{entry.what}.** {entry.question} {state}: {count}. At other budgets: "
            f"{_links(others)}. `{entry.command}`".replace("  ", " ")
        )
    parts = [INTRO.replace("\n", " "), *(["\n".join(lines)] if lines else [])]
    if complete:
        parts.append(f"Run at the full budget: {'; '.join(complete)}.")
    return "\n\n".join([*parts, *_missing_cells(sections), *_unclaimed(root, sections)])


def _records(
    name: str, args: argparse.Namespace, folder: ReadFolder, scripts: Scripts
) -> list[Record]:
    """What a command's table asks a folder for; the backbones before training do not count."""
    try:
        scripts[name].table(args, folder)
    except InputError:  # the folder has the file of another budget
        return []
    return [record for record in folder.records.values() if record.trained]


def _same(section: Section, entry: Runnable, name: str, args: argparse.Namespace) -> bool:
    """Whether a section has results of an experiment, at whatever budget."""
    if section.script != name or not section.found:
        return False
    narrow = ["suites", *(["datasets"] if "--datasets" in entry.command else [])]
    return all(
        not set(getattr(args, flag)).isdisjoint(getattr(section.args, flag))
        for flag in narrow
        if hasattr(args, flag)
    )


def _links(sections: Sequence[Section]) -> str:
    words = []
    for section in sections:
        budget = short_budget(section.records)
        words.append(f"{section.link}: {budget}" if budget else section.link)
    return "; ".join(words) or "nothing"


def _missing_cells(sections: Sequence[Section]) -> list[str]:
    """A list of what the sections' own commands have not done."""
    lines = []
    for section in sections:
        missing = [record.name for record in section.records if record.content is None]
        if missing:
            names = ", ".join(f"`{PurePath(name).stem}`" for name in missing)
            lines.append(f"- {section.link}, {len(missing)} of {len(section.records)}: {names}")
    if not lines:
        return ["Of the commands in the sections above every result is there."]
    return ["Of the commands in the sections above these results are missing:", "\n".join(lines)]


def _unclaimed(root: Path, sections: Sequence[Section]) -> list[str]:
    """A list of the runs in the tree that no section shows."""
    shown = {section.folder / record.name for section in sections for record in section.records}
    lines = []
    for file in sorted(root.rglob("*.json")):
        # What runs work with is no result.
        used = "work" in file.relative_to(root).parts
        if not used and file not in shown and {"config", "metrics"} <= read_json(file).keys():
            lines.append(f"- `{file.relative_to(root).as_posix()}`")
    return ["Results that are in no section:", "\n".join(lines)] if lines else []
