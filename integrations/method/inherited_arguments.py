"""Arguments written once, in the parent, and shown by every subclass that passes them on."""

import inspect
import textwrap
from collections.abc import Iterable
from inspect import Parameter, Signature
from typing import Any

_POSITIONAL = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
_LINE_LENGTH = 96


class _ClassSignature:
    """What inspect.signature finds on a class; its instances have the signature of their call."""

    def __get__(self, instance: object, owner: type) -> Signature:
        if instance is not None:
            raise AttributeError("only the class has it")
        return Signature(_parameters(owner))


class InheritedArguments:
    """Base class whose subclasses show what their ``*args`` and ``**options`` reach.

    ``inspect.signature(subclass)`` and ``help(subclass)`` name each argument of the parent with its
    default in place of ``**options``, and the "Args:" of the subclass's docstring get the parent's
    texts. An entry that both have is the parent's text followed by the subclass's. For a type
    checker declare ``**options: Unpack[...]`` with a TypedDict of the parent's arguments.
    """

    __signature__ = _ClassSignature()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.__doc__ is not None:  # python -OO has none
            cls.__doc__ = _with_inherited_texts(cls)


def _parameters(cls: type) -> list[Parameter]:
    """The parameters of a class's constructor, with those that its parent gets from it."""
    owner = next(base for base in cls.__mro__ if "__init__" in vars(base))
    own = list(inspect.signature(vars(owner)["__init__"]).parameters.values())[1:]
    parent = _parent(cls.__mro__[cls.__mro__.index(owner) :])
    if parent is None:
        return own
    names = {parameter.name for parameter in own}
    inherited = [p for p in _parameters(parent) if p.name not in names]
    shown: list[Parameter] = []
    for parameter in own:
        if parameter.kind is Parameter.VAR_POSITIONAL:
            shown += [p for p in inherited if p.kind in _POSITIONAL]
        elif parameter.kind is Parameter.VAR_KEYWORD:
            rest = [p for p in inherited if p not in shown]
            shown += [
                p.replace(kind=Parameter.KEYWORD_ONLY) if p.kind in _POSITIONAL else p for p in rest
            ]
        else:
            shown.append(parameter)
    return shown


def _parent(mro: tuple[type, ...]) -> type | None:
    """The next class after the first that shows its arguments."""
    bases = (base for base in mro[1:] if issubclass(base, InheritedArguments))
    return next((base for base in bases if base is not InheritedArguments), None)


def _with_inherited_texts(cls: type) -> str:
    """The docstring of a class with the texts of its parent's arguments among its own."""
    before, own, after = _split(inspect.getdoc(cls) or "")
    parent = _parent(cls.__mro__)
    inherited = {} if parent is None else _split(parent.__doc__ or "")[1]
    names = [parameter.name for parameter in _parameters(cls)]
    names += [name for name in own if name not in names]
    texts = [
        _joined(inherited[name], own[name])
        if name in inherited and name in own
        else own.get(name) or inherited[name]
        for name in names
        if name in own or name in inherited
    ]
    parts = [before, "\n".join(["Args:", *texts]) if texts else "", after]
    return "\n\n".join(part for part in parts if part)


def _split(doc: str) -> tuple[str, dict[str, str], str]:
    """What comes before the arguments of a clean Google docstring, their entries, what follows."""
    lines = doc.splitlines()
    sections = [i for i, line in enumerate(lines) if line in ("Args:", "Attributes:", "Raises:")]
    start = next(iter(sections), len(lines))
    if start == len(lines) or lines[start] != "Args:":
        return _text(lines[:start]), {}, _text(lines[start:])
    body = range(start + 1, len(lines))
    end = next((i for i in body if lines[i] and not lines[i].startswith(" ")), len(lines))
    entries: list[list[str]] = []
    for line in lines[start + 1 : end]:
        if line.startswith("    ") and not line.startswith("     "):
            entries.append([line])
        elif entries:
            entries[-1].append(line)
    named = {entry[0].partition(":")[0].strip(): _text(entry) for entry in entries}
    return _text(lines[:start]), named, _text(lines[end:])


def _text(lines: Iterable[str]) -> str:
    return "\n".join(lines).rstrip()


def _joined(inherited: str, own: str) -> str:
    text = f"{inherited.strip()} {own.partition(':')[2].strip()}"
    return textwrap.fill(
        " ".join(text.split()),
        width=_LINE_LENGTH,
        initial_indent="    ",
        subsequent_indent="        ",
        break_on_hyphens=False,
        break_long_words=False,
    )
