"""What a docstring says beyond its text; an extension of griffe, which reads them for the API."""

import inspect
import re
from importlib import import_module
from typing import Any

from griffe import Attribute, Class, Docstring, Extension, Object, Parameter, ParameterKind
from griffe import Parameters as GriffeParameters

from df_heads.integrations.method.inherited_arguments import InheritedArguments

EXAMPLE = re.compile(r"^(?<!```pycon\n)(?: *>>> .*\n?)(?:^ *\S.*\n?)*", re.M)
KINDS = {
    inspect.Parameter.POSITIONAL_ONLY: ParameterKind.positional_only,
    inspect.Parameter.POSITIONAL_OR_KEYWORD: ParameterKind.positional_or_keyword,
    inspect.Parameter.VAR_POSITIONAL: ParameterKind.var_positional,
    inspect.Parameter.KEYWORD_ONLY: ParameterKind.keyword_only,
    inspect.Parameter.VAR_KEYWORD: ParameterKind.var_keyword,
}


class Said(Extension):
    """Examples as listings, ``#:`` comments as docstrings, arguments of parents as the class's."""

    def on_object(self, *, obj: Object, **kwargs: Any) -> None:
        """Put the lines of an example, from >>> to the next empty one, into a fence."""
        if obj.docstring is not None:
            obj.docstring.value = EXAMPLE.sub(_fenced, obj.docstring.value)

    def on_attribute_instance(self, *, attr: Attribute, **kwargs: Any) -> None:
        """Take the ``#:`` lines above an attribute for its docstring."""
        if attr.docstring is not None or attr.lineno is None:
            return
        lines = attr.filepath.read_text(encoding="utf-8").splitlines()[: attr.lineno - 1]
        said: list[str] = []
        while lines and lines[-1].lstrip().startswith("#:"):
            said.insert(0, lines.pop().lstrip().removeprefix("#:").strip())
        if said:
            attr.docstring = Docstring("\n".join(said), parent=attr)

    def on_class_members(self, *, cls: Class, **kwargs: Any) -> None:
        """Show what ``help()`` shows of a class that passes arguments on to its parent."""
        constructor = cls.members.get("__init__")
        if constructor is None or not any(
            str(each.annotation).startswith("Unpack[") for each in constructor.parameters
        ):
            return
        found = getattr(import_module(cls.module.path), cls.name)
        if not issubclass(found, InheritedArguments):
            raise TypeError(f"{cls.path} passes options on, but is no InheritedArguments.")
        if cls.docstring is None or found.__doc__ is None:
            raise TypeError(f"{cls.path} has no docstring.")
        cls.docstring.value = EXAMPLE.sub(_fenced, inspect.cleandoc(found.__doc__))
        shown = [_parameter(each) for each in inspect.signature(found).parameters.values()]
        constructor.parameters = GriffeParameters(
            Parameter("self", kind=ParameterKind.positional_or_keyword), *shown
        )


def _parameter(each: inspect.Parameter) -> Parameter:
    empty = inspect.Parameter.empty
    annotation = None if each.annotation is empty else inspect.formatannotation(each.annotation)
    default = None if each.default is empty else repr(each.default)
    return Parameter(each.name, annotation=annotation, kind=KINDS[each.kind], default=default)


def _fenced(match: re.Match[str]) -> str:
    example = match[0]
    indent = " " * (len(example) - len(example.lstrip(" ")))
    return f"{indent}```pycon\n{example.rstrip()}\n{indent}```\n"
