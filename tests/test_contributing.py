"""CONTRIBUTING.md names functions, rooms and groups that are there."""

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import df_heads.benchmarks.harness
from df_heads.benchmarks.harness.base.registry import Registry

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`([\w/]+\.py):([\w.]+)`", TEXT)))


def section(heading: str) -> str:
    """What stands under a heading, up to the next of its level or above."""
    level = heading.index(" ")
    after = TEXT.split(f"\n{heading}\n")[1]
    return re.split(rf"\n#{{1,{level}}} ", after)[0]


def found(file: str, name: str) -> Any:
    module = file.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
    if not module.startswith("df_heads"):  # setup.cfg maps the folder into the package
        module = f"df_heads.{module}"
    entry: Any = import_module(module)
    for part in name.split("."):
        entry = getattr(entry, part)
    return entry


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_what_it_names_is_there(file: str, name: str) -> None:
    assert (ROOT / file).is_file()
    found(file, name)


def test_the_way_of_one_run_is_at_most_twelve_functions() -> None:
    steps = re.split(r"\n\d+\. ", section("## The way of one run"))[1:]
    assert 5 < len(steps) <= 12
    for step in steps:
        ((file, name),) = re.findall(r"`([\w/]+\.py):([\w.]+)`", step)
        assert callable(found(file, name))
        assert step.startswith(f"`{file}:{name}`")


@pytest.mark.parametrize("kind", ["A head", "A method", "A data set", "An evaluation", "A suite"])
def test_how_to_add_one_is_ten_lines(kind: str) -> None:
    lines = [line for line in section(f"### {kind}").splitlines() if line.strip()]
    assert 0 < len(lines) <= 10
    (registry,) = [
        entry
        for file, name in re.findall(r"`([\w/]+\.py):([A-Z_]+)`", "\n".join(lines))
        if isinstance(entry := found(file, name), Registry)
    ]
    assert f"the group `{registry.group}`" in "\n".join(lines).replace("\n  ", " ")


def test_how_to_add_a_table_is_ten_lines() -> None:
    lines = [line for line in section("### A table").splitlines() if line.strip()]
    assert 0 < len(lines) <= 10


def test_the_map_has_every_room() -> None:
    harness = Path(df_heads.benchmarks.harness.__file__).parent
    rooms = {file.parent.name for file in harness.glob("*/__init__.py")}
    assert set(re.findall(r"^\| `(\w+)` \|", section("## The map of the house"), re.M)) == rooms
