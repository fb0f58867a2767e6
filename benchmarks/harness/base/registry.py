"""Names and what they stand for, with a place for what is outside the project.

An entry comes from one of three places, tried in this order: the project's own, under a short
name; an installed package's, under the name of its entry point; any module's, under its import
path, such as "my_package.my_head:MyHead".
"""

import difflib
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Generic, TypeVar

from df_heads.benchmarks.harness.base.errors import InputError

Entry = TypeVar("Entry")


class Registry(Mapping[str, Entry], Generic[Entry]):
    """The project's own entries by name, in the order of adding; `find` finds others too.

    Args:
        kind: What an entry is, in the singular, for errors: "head".
        accept: From what was found outside, and its name, to an entry; raises TypeError or
            ValueError with the reason if it cannot be one.
        group: The group of entry points to look in; None for none.
    """

    def __init__(
        self, kind: str, accept: Callable[[str, Any], Entry], *, group: str | None = None
    ) -> None:
        self.kind = kind
        self.group = group
        self._accept = accept
        self._entries: dict[str, Entry] = {}
        self._found: dict[str, Entry] = {}

    def add(self, name: str, entry: Entry) -> Entry:
        """Add one of the project's own.

        Raises:
            ValueError: If the name is taken.
        """
        if name in self._entries:
            raise ValueError(f"The {self.kind} {name!r} is there already; choose another name.")
        self._entries[name] = entry
        return entry

    def __getitem__(self, name: str) -> Entry:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, name: str) -> Entry:
        """The entry of a name or an import path.

        Raises:
            InputError: If there is none, with what there is; or if what was found cannot be one.
        """
        if name in self._entries:
            return self._entries[name]
        if name not in self._found:
            self._found[name] = self._outside(name)
        return self._found[name]

    def _outside(self, name: str) -> Entry:
        point = self._entry_points().get(name)
        if point is None and ":" not in name:
            raise InputError(self._unknown(name))
        try:
            found = import_path(name) if point is None else point.load()
        except (ImportError, AttributeError, ValueError) as error:
            raise InputError(f"the {self.kind} {name!r} does not import: {error}.") from error
        except Exception as error:  # whatever that module's own code raises
            raise InputError(
                f"the {self.kind} {name!r} does not import: {type(error).__name__}: {error}."
            ) from error
        try:
            return self._accept(name, found)
        except (TypeError, ValueError) as error:
            raise InputError(f"{name!r} is no {self.kind}: {error}.") from error

    def names(self) -> list[str]:
        """The project's names, then those of installed packages."""
        return list(dict.fromkeys([*self._entries, *self._entry_points()]))

    def _entry_points(self) -> Mapping[str, Any]:
        if self.group is None:
            return {}
        points = {point.name: point for point in entry_points(group=self.group)}
        taken = points.keys() & self._entries.keys()
        if taken:
            name = min(taken)
            raise InputError(
                f"the entry point {name!r} of {self.group} ({points[name].value}) has the name of "
                f"one of df-heads' own; uninstall that package, or give it another name."
            )
        return points

    def _unknown(self, name: str) -> str:
        known = self.names()
        near = difflib.get_close_matches(name, known, n=1)
        hint = f" did you mean {near[0]!r}?" if near else ""
        return (
            f"there is no {self.kind} {name!r};{hint} choose from {', '.join(known)}, or give an "
            "import path such as my_package.my_module:NAME"
        )


def import_path(path: str) -> Any:
    """What "package.module:NAME" names; the current folder is looked in too, as python -m does.

    Raises:
        ImportError: If there is no such module.
        AttributeError: If it has no such name.
        ValueError: If the path is not of that form.
    """
    module, _, name = path.partition(":")
    if not module or not name:
        raise ValueError(f"{path!r} is not of the form package.module:NAME")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    found: Any = import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found
