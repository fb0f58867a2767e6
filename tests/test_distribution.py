"""What the package says of itself, in several places, is the same."""

import configparser
import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

import df_heads

ROOT = Path(__file__).parent.parent
CONFIG = configparser.ConfigParser()
CONFIG.read(ROOT / "setup.cfg", encoding="utf-8")


def requirements(text: str) -> list[Requirement]:
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return [Requirement(line) for line in lines if line]


def test_the_lowest_versions_that_are_tested_are_those_declared() -> None:
    pins = {
        one.name: Version(Version(next(iter(one.specifier)).version).base_version)
        for one in requirements((ROOT / ".ci/lowest.txt").read_text(encoding="utf-8"))
    }
    declared = CONFIG["options"]["install_requires"]
    declared += CONFIG["options.extras_require"]["benchmarks"]
    for one in requirements(declared):
        (lowest,) = (s.version for s in one.specifier if s.operator == ">=")
        assert pins[one.name] == Version(lowest), one.name


def test_the_version_is_that_of_the_changelog_and_the_citation() -> None:
    released = re.findall(r"^## \[(\d.*?)\] - \d{4}-\d\d-\d\d$", changelog(), re.MULTILINE)
    assert released[0] == df_heads.__version__
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {df_heads.__version__}\n" in citation


def changelog() -> str:
    return (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_a_classifier_for_every_python() -> None:
    classifiers = CONFIG["metadata"]["classifiers"]
    lowest = CONFIG["options"]["python_requires"].removeprefix(">=")
    named = re.findall(r":: (3\.\d+)$", classifiers, re.MULTILINE)
    assert named[0] == lowest
    assert [int(one.partition(".")[2]) for one in named] == list(range(10, 10 + len(named)))


@pytest.mark.parametrize("name", ["tests", "docs", "release"])
def test_a_workflow_runs_scripts_that_are_there(name: str) -> None:
    text = (ROOT / f".github/workflows/{name}.yml").read_text(encoding="utf-8")
    for script in re.findall(r"(?:bash|python) ([\w.][\w./-]*)", text):
        assert (ROOT / script).is_file(), script
