"""Training methods by name; importing this imports no torch, asking for a class does."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from df_heads.benchmarks.harness.base.experiment import SETTINGS, Experiment
from df_heads.benchmarks.harness.base.registry import Registry
from df_heads.integrations import choices
from df_heads.integrations.method.classes import method_class

if TYPE_CHECKING:
    from df_heads.integrations.method.base import Method

#: From nothing to the class of a method.
MethodClass = Callable[[], type["Method"]]


def _from_outside(name: str, found: Any) -> MethodClass:
    from df_heads.integrations.method.base import Method

    if not (isinstance(found, type) and issubclass(found, Method)):
        raise TypeError("it must be a class derived from df_heads.integrations.method.base.Method")
    return lambda: found


#: Name -> what gives the class. The arguments of its constructor are taken from an Experiment.
METHODS: Registry[MethodClass] = Registry("method", _from_outside, group="df_heads.methods")
for _name in choices.METHODS:
    METHODS.add(_name, partial(method_class, _name))

#: Fields that not every method has an argument for.
METHOD_FIELDS = tuple(name for name, about in SETTINGS.items() if about.methods)


def takes(method: str, name: str) -> bool:
    """Whether a method has use for a field of METHOD_FIELDS."""
    if method in METHODS:
        return method in SETTINGS[name].methods
    return name in inspect.signature(METHODS.find(method)()).parameters


def defaults_of(method: str) -> dict[str, Any]:
    """The fields whose default depends on the method, with that of this one."""
    return {
        field: about.defaults_of_methods.get(method, getattr(Experiment, field))
        for field, about in SETTINGS.items()
        if about.defaults_of_methods
    }


def only_of_method(name: str) -> dict[str, Any]:
    """The method as changes of an experiment, the fields it has no use for at their defaults."""
    unused = {
        field: getattr(Experiment, field) for field in METHOD_FIELDS if not takes(name, field)
    }
    return {"method": name, **unused}
