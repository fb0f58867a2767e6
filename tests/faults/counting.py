"""Writes docs/reliability.md's table: how often each promise was put to the test, and when."""

import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- counts -->\n", "<!-- end of counts -->\n"
HEADER = ["what was done", "how often", "commit", "date"]

#: Test -> what it counts.
KINDS = {
    "test_killed_and_resumed": "kill -9 at a random moment, then resumed; SimCLR, MoCo, BYOL, "
    "compiled; 0 and 2 workers",
    "test_table_1_killed_and_resumed": "kill -9 of Table 1 at a random moment, then resumed",
    "test_two_processes_on_one_folder_killed_in_turn": "kill -9 of one of two processes that share "
    "a folder",
    "test_killed_with_tmpdir_on_another_disk": "kill -9 with TMPDIR on another file system",
    "test_terminated_and_resumed": "SIGTERM at a random moment, then resumed",
    "test_a_killed_rank": "one rank of a two-process run killed",
    "test_an_interrupted_run_ends_as_if_it_had_not_been": "runs stopped in the middle, at the end "
    "and at the start of an epoch",
    "test_damaged_checkpoints": "damaged checkpoints and weights",
    "test_a_cache_that_is_not_what_was_written_is_made_again": "damaged image caches",
    "test_damaged_maps": "damaged attention maps",
    "test_other_maps": "arrays that are no attention maps",
    "test_bad_folders": "bad image folders",
    "test_bad_image_files": "folders with an image file that cannot be read",
    "test_odd_image_files": "folders with an image file of a rare kind, which is read",
    "test_odd_folders": "odd image folders, which are read",
    "test_odd_names_of_classes": "odd names of classes, which are read",
    "test_what_may_not_be_read": "files and folders that may not be read",
    "test_labels_of_mnist": "labels of MNIST's format that do not fit",
    "test_bad_values": "command lines with a bad value",
    "test_bad_values_of_each_script": "command lines of the other scripts with a bad value",
    "test_bad_arguments": "bad arguments of heads, methods, losses, callbacks and augmentations",
    "test_bad_calls": "calls with features, labels, masks and images that do not fit",
    "test_a_checkpoint_with_wrong_fields": "checkpoints of the zoo with wrong fields",
    "test_heads": "random heads on random batches: finite, and equivariant to permutations",
    "test_arguments_of_heads": "random arguments of heads",
    "test_features": "random tensors as features and masks",
    "test_changed_results": "result files with a random change",
    "test_any_bytes_as_a_checkpoint": "random bytes as a checkpoint",
    "test_any_bytes_as_an_image": "random bytes as an image",
    "test_a_limit_on_the_size_of_files": "limits on the size of files",
    "test_a_disk_without_inodes": "disks with room but no inodes",
    "test_a_full_disk": "full disks",
    "test_out_dirs_that_cannot_be": "out dirs that cannot be",
}


class Counts:
    """A pytest plugin that counts what passed and updates the page.

    A kind of which a test failed, was skipped or was deselected keeps its earlier line.
    """

    def __init__(self) -> None:
        self.passed: Counter[str] = Counter()
        self.incomplete: set[str] = set()

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        self.incomplete |= {_function(item.nodeid) for item in items}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        name = _function(report.nodeid)
        if report.outcome != "passed":
            self.incomplete.add(name)
        elif report.when == "call":
            told = [int(str(value)) for key, value in report.user_properties if key == "count"]
            self.passed[name] += sum(told) if told else 1

    def pytest_sessionfinish(self) -> None:
        commit = _git("rev-parse", "--short=12", "HEAD") + ("+" if _git("diff", "HEAD") else "")
        today = time.strftime("%Y-%m-%d")
        rows = _rows()
        for name, what in KINDS.items():
            if self.passed[name] and name not in self.incomplete:
                rows[what] = [what, str(self.passed[name]), commit, today]
        _write([rows[what] for what in KINDS.values() if what in rows])


def _function(nodeid: str) -> str:
    return nodeid.split("::")[-1].split("[")[0]


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(PAGE.parent), *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def _rows() -> dict[str, list[str]]:
    table = PAGE.read_text(encoding="utf-8").split(BEGIN)[1].split(END)[0]
    lines = [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]
    return {line[0]: line for line in lines}


def _write(rows: list[list[str]]) -> None:
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    lines = [HEADER, ["---"] * len(HEADER), *rows]
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    PAGE.write_text(before + BEGIN + table + END + rest.split(END)[1], encoding="utf-8")
