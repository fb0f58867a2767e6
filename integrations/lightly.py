"""The heads inside lightly: registered in its modules, put into its models, kept in its zoo."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

try:
    import lightly
    from lightly.models import modules
    from lightly.models.modules.heads import ProjectionHead
except ImportError as error:
    raise ImportError(
        "df_heads.integrations.lightly needs lightly 1.6: pip install 'lightly>=1.6,<2'"
    ) from error
import torch
from torch import nn

from df_heads import FeedForwardProjectionHead, TransformerProjectionHead
from df_heads.integrations.lightly_checkpoints import (
    load_checkpoint,
    register_checkpoint,
    save_checkpoint,
)
from df_heads.integrations.method.teachers import noiseless_copy

__all__ = [
    "Replacement",
    "load_checkpoint",
    "register",
    "register_checkpoint",
    "replace_projection_head",
    "save_checkpoint",
    "unregister",
]


def _require_supported(version: str) -> None:
    numbers = re.match(r"(\d+)\.(\d+)", version)
    if numbers is None or not (1, 6) <= (int(numbers[1]), int(numbers[2])) < (2, 0):
        raise ImportError(
            f"df_heads.integrations.lightly supports lightly >=1.6,<2, and {version} is installed: "
            "pip install 'lightly>=1.6,<2'"
        )


# mypy loses it where lightly.transforms is imported too.
_require_supported(lightly.__version__)  # type: ignore[attr-defined]

_HEADS: Mapping[str, type[nn.Module]] = {
    "TransformerProjectionHead": TransformerProjectionHead,
    "FeedForwardProjectionHead": FeedForwardProjectionHead,
}
_PLACES = (modules, modules.heads)
_registered: list[tuple[Any, str]] = []


def register() -> None:
    """Put both heads into lightly.models.modules and lightly.models.modules.heads.

    >>> register()
    >>> lightly.models.modules.TransformerProjectionHead(512, 128, 128)

    Calling it again changes nothing; `unregister` undoes it. Importing this module does not call
    it.

    Raises:
        RuntimeError: If lightly already has something else of that name; nothing is changed then.
    """
    for place in _PLACES:
        for name, head in _HEADS.items():
            if getattr(place, name, head) is not head:
                raise RuntimeError(
                    f"{place.__name__}.{name} already exists and is not df_heads' class; import "
                    f"it with `from df_heads import {name}` instead of calling register()."
                )
    for place in _PLACES:
        for name, head in _HEADS.items():
            if not hasattr(place, name):
                setattr(place, name, head)
                _registered.append((place, name))


def unregister() -> None:
    """Remove from lightly what `register` put there, and nothing else."""
    while _registered:
        place, name = _registered.pop()
        if getattr(place, name, None) is _HEADS[name]:
            delattr(place, name)


@dataclass(frozen=True)
class Replacement:
    """One head that replace_projection_head replaced.

    Attributes:
        path: Where it is in the model, such as "projection_head".
        old_class: Name of the class that was there.
        input_dim: Width of the features, of the old head and the new one.
        output_dim: Width of the projections, of the old head and the new one.
        shared_with: Path under which the same head is listed first; None for that one itself.
        copy_of: Path of the online head that it is a frozen copy of; None for an online head.
    """

    path: str
    old_class: str
    input_dim: int
    output_dim: int
    shared_with: str | None = None
    copy_of: str | None = None


def replace_projection_head(
    model: nn.Module,
    *,
    prediction_heads: bool = False,
    head: Callable[..., nn.Module] = TransformerProjectionHead,
    hidden_dim: int = 128,
    **options: Any,
) -> list[Replacement]:
    """Replace each lightly ProjectionHead of a model, in place, by one of the same two widths.

    >>> replace_projection_head(model, num_layers=5)
    [Replacement(path='projection_head', old_class='SimCLRProjectionHead', ...)]

    Call it before anything holds the old parameters: the optimiser, DistributedDataParallel,
    torch.compile. New heads keep the device, dtype and training flag of the old ones. A head
    found at several paths stays one head. Weights are drawn on the CPU inside
    torch.random.fork_rng: what is drawn later, such as the order of the data, is as without the
    call, so runs with the old and the new head stay paired. If it raises, the model is unchanged.

    **Teachers.** A head T becomes a deep copy of the new online head S, with gradients off and
    without dropout, if T and S have the same class and widths and one of these holds:

    1. Every path of T carries a mark, "momentum", "ema", "teacher" or "target", as
       `<mark>_name` or `name_<mark>`, and taking all marks off one of them gives a path of S:
       "head_momentum" and "head", "teacher_encoder.head" and "encoder.head".
    2. No parameter of T requires a gradient, and S is the only such head with one that does (and
       that is not a teacher by rule 1), whatever their names. Two or more of them are an error.

    A frozen head without an online head gets a new head that is frozen too.

    **Refused**, because they are not a plain map from one vector per image to another:
    DINOProjectionHead and DINOv2ProjectionHead (their weight-normed last layer holds prototypes,
    and training loops call methods of theirs), VicRegLLocalProjectionHead and
    DenseCLProjectionHead (applied to each location of an image, so a sequence would not be the
    batch), LeWMProjectionHead (its samples are frames of one video, and the predictor would see
    the frame it is to predict), and any subclass with a forward() or layers of its own.
    CAPIProjectionHead and SwaVPrototypes are no ProjectionHead and stay.

    Args:
        model: Any module with lightly heads somewhere below it.
        prediction_heads: Also replace prediction heads: those with a class, or a parent class,
            whose name ends in "PredictionHead".
        head: Builds a head from (input_dim, hidden_dim, output_dim, **options).
        hidden_dim: Width of the tokens (128: the paper's small head).
        options: Passed to head, such as num_layers or sequence_length.

    Returns:
        One Replacement per path, in the order of model.named_modules().

    Raises:
        ValueError: If there is no such head, one is refused, its widths cannot be inferred, or
            it could be the teacher of several heads.
    """
    found = _find_heads(model, prediction_heads)
    _find_teachers(found)
    new: dict[int, nn.Module] = {}
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        for old in found:
            if old.online is None:
                new[id(old)] = head(old.input_dim, hidden_dim, old.output_dim, **options)
    for old in found:
        if old.online is not None:
            new[id(old)] = noiseless_copy(new[id(old.online)])
        new[id(old)].requires_grad_(not (old.is_frozen or old.online is not None))
    for old in found:
        like = next(old.module.parameters())
        new[id(old)].to(device=like.device, dtype=like.dtype).train(old.module.training)

    done: dict[str, Replacement] = {}
    for old in found:
        for path in old.paths:
            model.set_submodule(path, new[id(old)])
            done[path] = Replacement(
                path,
                type(old.module).__name__,
                old.input_dim,
                old.output_dim,
                shared_with=None if path == old.paths[0] else old.paths[0],
                copy_of=None if old.online is None else old.online.paths[0],
            )
    return [done[path] for path, _ in model.named_modules(remove_duplicate=False) if path in done]


_MARK = re.compile(r"^(?:momentum|ema|teacher|target)_|_(?:momentum|ema|teacher|target)$")

_LOCAL = "it is applied to each location of an image, so a sequence would not be the batch"
_REFUSED: Mapping[str, str] = {
    "DINOProjectionHead": "its last layer holds weight-normed prototypes that belong to the loss",
    "DINOv2ProjectionHead": "its last layer holds weight-normed prototypes that belong to the loss",
    "DenseCLProjectionHead": _LOCAL,
    "VicRegLLocalProjectionHead": _LOCAL,
    "LeWMProjectionHead": "its samples are frames of one video, and mixing them shows the "
    "predictor the frame it is to predict",
}


@dataclass
class _Head:
    module: nn.Module
    paths: list[str]
    input_dim: int
    output_dim: int
    online: "_Head | None" = None

    @property
    def is_frozen(self) -> bool:
        return not any(p.requires_grad for p in self.module.parameters())

    def is_like(self, other: "_Head") -> bool:
        return (
            self is not other
            and type(self.module) is type(other.module)
            and (self.input_dim, self.output_dim) == (other.input_dim, other.output_dim)
        )


def _find_heads(model: nn.Module, prediction_heads: bool) -> list[_Head]:
    found: dict[int, _Head] = {}
    for path, module in model.named_modules(remove_duplicate=False):
        if not isinstance(module, ProjectionHead):
            continue
        if not prediction_heads and _is_prediction_head(module):
            continue
        if id(module) in found:
            found[id(module)].paths.append(path)
        else:
            found[id(module)] = _Head(module, [path], *_widths(path, module))
    if not found:
        kind = "heads" if prediction_heads else "heads other than prediction heads"
        raise ValueError(
            f"{type(model).__name__} has no projection head to replace: its modules were searched "
            f"for lightly.models.modules.heads.ProjectionHead, {kind}, and none was found."
        )
    return list(found.values())


def _is_prediction_head(module: nn.Module) -> bool:
    return any(kind.__name__.endswith("PredictionHead") for kind in type(module).__mro__)


def _widths(path: str, module: nn.Module) -> tuple[int, int]:
    name = type(module).__name__
    if not path:
        raise ValueError(
            f"The model is itself a {name}, which cannot be replaced in place; build a "
            "TransformerProjectionHead instead."
        )
    parts = list(module.modules())
    linear = [part for part in parts if isinstance(part, nn.Linear)]
    convolves = any(isinstance(part, nn.modules.conv._ConvNd) for part in parts)
    lazy = any(isinstance(part, nn.LazyLinear) for part in parts)
    if convolves or lazy or not linear:
        reason = (
            "it has convolutions"
            if convolves
            else "its layers are lazy; run one batch through the model first"
            if lazy
            else "it has no nn.Linear"
        )
        raise ValueError(f"The width of {path} ({name}) cannot be inferred: {reason}.")
    refusals = [
        _REFUSED[kind.__name__] for kind in type(module).__mro__ if kind.__name__ in _REFUSED
    ]
    own_forward = type(module).forward is not ProjectionHead.forward
    if not refusals and (own_forward or [n for n, _ in module.named_children()] != ["layers"]):
        refusals = ["it has a forward() or layers that lightly's ProjectionHead has not"]
    if refusals:
        raise ValueError(
            f"{path} ({name}) is not replaced: {refusals[0]}. replace_projection_head's docstring "
            "lists such heads."
        )
    return linear[0].in_features, linear[-1].out_features


def _find_teachers(heads: list[_Head]) -> None:
    for head in heads:
        if all(_unmarked(path) != path for path in head.paths):
            names = {_unmarked(path) for path in head.paths}
            named = [s for s in heads if s.is_like(head) and names & set(s.paths)]
            head.online = named[0] if named else None
    trained = [head for head in heads if head.online is None and not head.is_frozen]
    for head in heads:
        if head.online is None and head.is_frozen:
            online = [s for s in trained if s.is_like(head)]
            if len(online) > 1:
                raise ValueError(
                    f"{head.paths[0]} is frozen and could be the teacher of "
                    f"{' or '.join(s.paths[0] for s in online)}; name it after one of them, such "
                    f"as {online[0].paths[0]}_momentum."
                )
            head.online = online[0] if online else None
    for head in heads:
        # Rule 1 may lead to a frozen head that rule 2 calls a teacher itself.
        if head.online is not None and head.online.online is not None:
            head.online = head.online.online


def _unmarked(path: str) -> str:
    parts = []
    for part in path.split("."):
        shorter = _MARK.sub("", part)
        while shorter != part:
            part, shorter = shorter, _MARK.sub("", shorter)
        parts.append(part)
    return ".".join(parts)
