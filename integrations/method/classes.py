"""From the name of a method to its class; importing this imports no torch, asking does."""

from importlib import import_module
from typing import TYPE_CHECKING

from df_heads.integrations.choices import METHOD_CLASSES, MethodName

if TYPE_CHECKING:
    from df_heads.integrations.method.base import Method


def method_class(name: MethodName) -> type["Method"]:
    """The class of one of df_heads.integrations.choices.METHODS."""
    module = import_module(f"df_heads.integrations.{name}")
    found: type[Method] = getattr(module, METHOD_CLASSES[name])
    return found
