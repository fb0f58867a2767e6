"""The heads inside lightly: registered in its modules, put into its models, kept in its zoo."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

try:
    import lightly
    from lightly.models import modules
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
from df_heads.integrations.lightly_heads import Paths, find_heads, find_teachers
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
    paths: Paths | None = None,
    skip: Iterable[str] = (),
    prediction_heads: bool = False,
    head: Callable[..., nn.Module] = TransformerProjectionHead,
    hidden_dim: int = 128,
    **options: Any,
) -> list[Replacement]:
    """Replace each lightly ProjectionHead of a model, in place, by one of the same two widths.

    >>> replace_projection_head(model, num_layers=5)
    [Replacement(path='projection_head', old_class='SimCLRProjectionHead', ...)]
    >>> replace_projection_head(model, skip=["local_projection_head"])  # all but this one
    >>> replace_projection_head(model, paths=["projector"])  # a Sequential, such as your own
    >>> replace_projection_head(model, paths={"projector": (512, 128)})  # any module, by its widths

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
    the frame it is to predict): skip them. Any subclass with a forward() or layers of its own is
    refused unless paths gives its widths. CAPIProjectionHead and SwaVPrototypes are no
    ProjectionHead and stay.

    Args:
        model: Any module with lightly heads somewhere below it.
        paths: Replace these modules, whatever their class, and no others; name teachers too. An
            nn.Linear, or an nn.Sequential with one, tells its widths itself: the first layer's
            input and the last one's output. Of any other module give (input_dim, output_dim) by
            path. None: all heads of lightly's.
        skip: Paths of heads to leave as they are; of one at several paths, one is enough.
        prediction_heads: Also replace prediction heads: those with a class, or a parent class,
            whose name ends in "PredictionHead". Nothing where paths names the heads.
        head: Builds a head from (input_dim, hidden_dim, output_dim, **options).
        hidden_dim: Width of the tokens (128: the paper's small head).
        options: Passed to head, such as num_layers or sequence_length.

    Returns:
        One Replacement per path, in the order of model.named_modules().

    Raises:
        TypeError: If paths or skip is one path, not several.
        ValueError: If there is no such head or path, one is refused, its widths cannot be inferred,
            or it could be the teacher of several heads.
    """
    found = find_heads(model, paths=paths, skip=skip, prediction_heads=prediction_heads)
    find_teachers(found)
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
        # A module named by its path may have no weights, such as nn.Identity.
        like = next(chain(old.module.parameters(), model.parameters()), None)
        if like is not None:
            new[id(old)].to(device=like.device, dtype=like.dtype)
        new[id(old)].train(old.module.training)

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
