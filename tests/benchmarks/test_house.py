"""The plan of the house: how full a room is, and that a script is named in one place."""

import ast
import configparser
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import df_heads.benchmarks
from df_heads.benchmarks.harness.plan.benchmark import benchmarks

BENCHMARKS = Path(df_heads.benchmarks.__file__).parent
SETUP = Path(__file__).parents[2] / "setup.cfg"
FILES = sorted(BENCHMARKS.rglob("*.py"))
SCRIPTS = {file.stem for file in BENCHMARKS.glob("run_*.py")}
#: They run and report the benchmarks, so they are none themselves.
WITHOUT_TABLE = {"run_all", "run_plan", "run_report"}
MOST_MODULES = 14


def docstrings(tree: ast.AST) -> set[ast.expr]:
    """The string expressions that stand alone: docstrings, where a command is an example."""
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }


def texts(tree: ast.AST) -> Iterator[str]:
    """What the code itself names: its strings and imports, without docstrings and comments."""
    examples = docstrings(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in examples:
            yield node.value
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def scripts_in(tree: ast.AST, names: set[str]) -> set[str]:
    """The scripts that the code names, as run_NAME."""
    return {name for text in texts(tree) for name in names if name in text}


def listed_in(tree: ast.AST, names: set[str]) -> list[set[str]]:
    """The lists, tuples, sets and dictionaries that name several benchmarks."""
    found = []
    for node in ast.walk(tree):
        members: list[ast.expr | None] = []
        if isinstance(node, ast.List | ast.Tuple | ast.Set):
            members = [*node.elts]
        elif isinstance(node, ast.Dict):
            members = [*node.keys]
        named = {name for m in members for name in names if _is_text(m, name)}
        if len(named) > 1:
            found.append(named)
    return found


def _is_text(node: ast.expr | None, text: str) -> bool:
    return isinstance(node, ast.Constant) and node.value == text


def test_no_room_holds_more_modules_than_one_can_survey() -> None:
    rooms = Counter(file.parent.name for file in FILES if file.name != "__init__.py")
    del rooms["benchmarks"]
    assert len(rooms) > 10
    assert {name: count for name, count in rooms.items() if count > MOST_MODULES} == {}


def test_every_script_is_found_by_its_name_alone() -> None:
    assert {each.script for each in benchmarks().values()} == SCRIPTS - WITHOUT_TABLE


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(BENCHMARKS)))
def test_no_file_lists_the_scripts(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    # A hint to one other script is no list of them.
    assert len(scripts_in(tree, SCRIPTS) - {file.stem}) <= 1
    assert listed_in(tree, set(benchmarks())) == []


def test_a_list_would_be_seen() -> None:
    tree = ast.parse('"""run_table2, run_table3"""\nfrom a import run_table3\nX = ["run_table2"]')
    assert scripts_in(tree, SCRIPTS) == {"run_table2", "run_table3"}
    names = {"table2", "speed"}
    assert listed_in(ast.parse('{"table2": 1, "speed": 2}'), names) == [names]
    assert listed_in(ast.parse('["table2", "other"]'), names) == []


@pytest.mark.skipif(not SETUP.is_file(), reason="the wheel alone has no setup.cfg")
def test_the_wheel_holds_every_package_and_the_contract_every_room() -> None:
    setup = configparser.ConfigParser()
    setup.read(SETUP, encoding="utf-8")
    listed = setup["options"]["packages"].split()
    mapped = [line.split(" = ")[0] for line in setup["options"]["package_dir"].split("\n") if line]
    rooms = {file.parent.name for file in (BENCHMARKS / "harness").glob("*/__init__.py")}
    prefix = "df_heads.benchmarks.harness."
    for names in (listed, mapped):
        assert {n.removeprefix(prefix) for n in names if n.startswith(prefix)} == rooms
    contracts = SETUP.with_name("pyproject.toml").read_text(encoding="utf-8")
    of_the_rooms = contracts.split('id = "rooms"')[1]
    layers = re.search(r"^layers = \[(.*?)\]", of_the_rooms, re.M | re.S)
    assert layers is not None
    assert set(re.findall(r"\w+", layers[1])) == rooms
