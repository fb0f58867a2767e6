from importlib import metadata
from typing import Any

import pytest

from df_heads.benchmarks.harness.base import registry as registry_module
from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.base.registry import Registry, import_path


def number(name: str, found: Any) -> int:
    if not isinstance(found, int):
        raise TypeError("it must be an int")
    return found


@pytest.fixture
def numbers() -> Registry[int]:
    registry: Registry[int] = Registry("number", number, group="df_heads.numbers")
    registry.add("one", 1)
    registry.add("two", 2)
    return registry


def installed(monkeypatch: pytest.MonkeyPatch, **points: str) -> None:
    """As if packages with these entry points were installed."""
    found = [metadata.EntryPoint(name, path, "df_heads.numbers") for name, path in points.items()]
    monkeypatch.setattr(registry_module, "entry_points", lambda group: found)


def test_entries_of_the_project_of_packages_and_by_import_path(
    numbers: Registry[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(monkeypatch, max_unicode="sys:maxunicode")
    assert list(numbers) == ["one", "two"]
    assert numbers.names() == ["one", "two", "max_unicode"]
    assert (numbers.find("one"), numbers.find("max_unicode")) == (1, 0x10FFFF)
    assert numbers.find("socket:AF_INET") == 2
    assert "socket:AF_INET" not in numbers
    assert import_path("os:path.sep") == "/"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ones", r"there is no number 'ones'; did you mean 'one'\? choose from one, two, or give"),
        ("sys:path", "'sys:path' is no number: it must be an int"),
        ("nosuch.module:NAME", "the number 'nosuch.module:NAME' does not import: No module named"),
        ("sys:nosuch", "the number 'sys:nosuch' does not import: .* has no attribute 'nosuch'"),
        (":", "the number ':' does not import: ':' is not of the form package.module:NAME"),
    ],
)
def test_what_is_none_gets_one_sentence(numbers: Registry[int], name: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        numbers.find(name)
    assert "\n" not in str(error.value)


def test_a_name_is_taken_once(numbers: Registry[int], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="The number 'one' is there already"):
        numbers.add("one", 3)
    assert numbers["one"] == 1
    installed(monkeypatch, two="sys:maxsize")
    with pytest.raises(InputError, match="the entry point 'two' .* has the name of one of"):
        numbers.names()
    assert numbers.find("two") == 2
