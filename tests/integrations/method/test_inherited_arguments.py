import inspect
import pydoc
from collections.abc import Callable, Sequence
from inspect import Parameter
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from typing_extensions import get_type_hints

from df_heads.integrations import choices
from df_heads.integrations.compiled.indexed_images import IndexedImages
from df_heads.integrations.compiled.simclr import CompiledSimCLR
from df_heads.integrations.method.base import Method
from df_heads.integrations.method.classes import method_class
from df_heads.integrations.method.options import MethodOptions
from df_heads.integrations.moco import MoCo
from df_heads.integrations.simclr import SimCLR
from df_heads.integrations.training.batches import BatchOptions, TrainingBatches

METHODS: list[Any] = [*map(method_class, choices.METHODS), CompiledSimCLR]
SHARED = inspect.signature(Method).parameters


def keywords(cls: type) -> dict[str, Parameter]:
    shown = inspect.signature(cls).parameters.values()
    return {p.name: p for p in shown if p.kind is Parameter.KEYWORD_ONLY}


def text_of(cls: type, name: str) -> str:
    """The text of one argument in a docstring, in one line."""
    arguments = (cls.__doc__ or "").split("Args:\n")[1]
    entry = arguments.split(f"    {name}: ")[1].split("\n")
    lines = [entry[0]]
    for line in entry[1:]:
        if not line.startswith("        "):
            break
        lines.append(line)
    return " ".join(" ".join(lines).split())


class Explicit(Method):
    """A method from outside.

    Args:
        mine: Of its own.
        views: Always separate.
    """

    def __init__(self, backbone: str | nn.Module, *, mine: int = 1, **options: Any) -> None:
        super().__init__(backbone, **options)

    def loss(self, views: Sequence[Tensor]) -> Tensor:
        return torch.zeros(())


class Wrapping(SimCLR):
    """Passes on whatever it is given."""

    def __init__(self, *args: Any, streams: int = 2, **kwargs: Any) -> None:
        super().__init__(*args, streams=streams, **kwargs)


class Closed(SimCLR):
    """Takes nothing but a size."""

    def __init__(self, width: int = 3) -> None:
        super().__init__(nn.Flatten())


@pytest.mark.parametrize("method", METHODS)
def test_every_shared_argument_is_shown_with_its_default(method: type[Method]) -> None:
    shown = inspect.signature(method).parameters
    assert list(shown)[:3] == ["backbone", "head", "views"]
    for name, parameter in SHARED.items():
        assert shown[name] == parameter
    kinds = {parameter.kind for parameter in list(shown.values())[3:]}
    assert kinds == {Parameter.KEYWORD_ONLY}


@pytest.mark.parametrize("method", METHODS)
def test_help_tells_the_text_of_every_argument(method: type[Method]) -> None:
    lines = pydoc.plain(pydoc.render_doc(method)).splitlines()
    shown = " ".join(" ".join(line.removeprefix(" |  ") for line in lines).split())
    signature = inspect.signature(method)
    assert f"{method.__name__}{signature}" in shown
    for name in signature.parameters:
        text = text_of(method, name)
        assert len(text) > 10
        assert f"{name}: {text}" in shown
        if name in SHARED:
            assert text.startswith(text_of(Method, name))
    assert "See Method" not in (method.__doc__ or "")


def test_a_text_of_the_subclass_follows_that_of_the_parent() -> None:
    inherited, whole = text_of(Method, "learning_rate"), text_of(MoCo, "learning_rate")
    assert whole.removeprefix(inherited).startswith(" In short runs on small images")
    assert text_of(SimCLR, "learning_rate") == inherited
    assert text_of(MoCo, "teacher_momentum").endswith("(paper: 0.999; the CIFAR-10 demo: 0.99).")


@pytest.mark.parametrize(
    ("options", "cls"), [(MethodOptions, Method), (BatchOptions, TrainingBatches)]
)
def test_the_type_checker_is_told_the_same(options: type, cls: type) -> None:
    told = get_type_hints(options)
    assert told == {name: parameter.annotation for name, parameter in keywords(cls).items()}


def test_an_unknown_argument_is_refused_by_name() -> None:
    for method in METHODS:
        with pytest.raises(TypeError, match="unexpected keyword argument 'learning_rat'"):
            method(nn.Flatten(), "transformer", learning_rat=0.1)


def test_methods_from_outside() -> None:
    explicit = inspect.signature(Explicit).parameters
    assert list(explicit)[:3] == ["backbone", "mine", "head"]
    assert explicit["head"].kind is Parameter.KEYWORD_ONLY
    assert explicit["image_size"] == SHARED["image_size"]
    assert text_of(Explicit, "mine") == "Of its own."
    assert text_of(Explicit, "views").endswith("Always separate.")

    wrapping, simclr = (inspect.signature(cls).parameters for cls in (Wrapping, SimCLR))
    assert set(wrapping) == set(simclr)
    assert list(wrapping)[:3] == list(simclr)[:3]
    assert wrapping["streams"].default == 2
    assert wrapping["temperature"] == simclr["temperature"]

    assert list(inspect.signature(Closed).parameters) == ["width"]
    assert "Args:" not in (Closed.__doc__ or "")


def test_data_modules_do_likewise() -> None:
    assert list(inspect.signature(IndexedImages).parameters) == [
        "images",
        "augment",
        "batch_size",
        "workers",
        "seed",
    ]
    assert text_of(IndexedImages, "workers") == text_of(TrainingBatches, "workers")


def test_an_instance_has_the_signature_of_its_call(tiny: Callable[..., SimCLR]) -> None:
    model = tiny(SimCLR)
    assert "backbone" not in inspect.signature(model).parameters
    assert not hasattr(model, "__signature__")


def test_what_was_given_is_among_the_hyperparameters(tmp_path: Any) -> None:
    for method in map(method_class, choices.METHODS):
        model = method("test_resnet", "feedforward", image_size=16, learning_rate=0.02)
        taken = inspect.signature(method).parameters
        # Whoever loads a checkpoint has its weights.
        assert set(model.hparams) == set(taken) - {"pretrained"}
        assert model.hparams["learning_rate"] == 0.02
        assert model.hparams["weight_decay"] == SHARED["weight_decay"].default
