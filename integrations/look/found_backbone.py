"""The backbone in a state_dict, built again: timm's names, or torchvision's in a Sequential."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from df_heads.integrations.backbones import build_backbone
from df_heads.integrations.choices import Stem
from df_heads.integrations.errors import InputError

#: Of which lightly's and solo-learn's examples take one; told apart by their weights.
RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
_PREFIX = re.compile(r"^(model\.)?(student_)?(backbone|encoder)\.")
#: Places in nn.Sequential(*resnet.children()), which lightly's examples use.
_PLACES = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}


@dataclass(frozen=True)
class FoundBackbone:
    """A backbone, and what of it is not in its weights.

    Attributes:
        module: In evaluation mode.
        name: timm's.
        stem: Told from its first convolution, or the hyperparameters.
        image_size: Side of the images in pixels; None if that is not known.
        notes: What was assumed, a sentence each.
    """

    module: nn.Module
    name: str
    stem: Stem
    image_size: int | None
    notes: list[str] = field(default_factory=list)


def find_backbone(
    state: Mapping[str, Tensor],
    settings: Mapping[str, Any],
    name: str | None,
    image_size: int | None,
    file: Path,
) -> FoundBackbone:
    """The backbone that trained.

    Args:
        state: Weights of a whole model.
        settings: Its hyperparameters, of ours the names of its parts.
        name: timm's name; None to tell it from hyperparameters or weights.
        image_size: Side of the images in pixels; None for that of the hyperparameters.
        file: To name in messages.

    Raises:
        InputError: If there is none, or it cannot be told which it is.
    """
    weights = {
        _PREFIX.sub("", key): value.contiguous()
        for key, value in state.items()
        if _PREFIX.match(key)
    }
    if not weights:
        raise InputError(
            f"{file} holds no weights named backbone.* or encoder.*; save the state_dict of a "
            "module that calls its backbone so."
        )
    if "0.weight" in weights and "conv1.weight" not in weights:
        weights = {_named(key): value for key, value in weights.items()}
    weights = {k: v for k, v in weights.items() if not k.startswith(("fc.", "classifier."))}
    notes: list[str] = []
    stem: Stem = "imagenet"
    known = settings.get("backbone")
    if name is None and isinstance(known, str):
        name, stem = known, settings.get("stem", "imagenet")
        image_size = image_size or settings.get("image_size")
    else:
        first = weights.get("conv1.weight")
        stem = "small" if first is not None and first.shape[2] == 3 else "imagenet"
        if name is None:
            name = _told_by_weights(weights, stem)
            if name is not None:
                notes.append(f"The backbone is not named in the file: its weights fit a {name}.")
    if name is None:
        raise InputError(
            f"{file} does not say what its backbone is; name it as timm does, as in --backbone "
            "vit_tiny_patch16_224."
        )
    try:
        with torch.random.fork_rng(devices=[]):
            module = build_backbone(name, stem=stem, image_size=image_size or 224)
        module.load_state_dict(weights)
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"the backbone of {file} is no {name} with stem {stem} of timm ({reason[:200]}); name "
            "another by --backbone, and its --image-size."
        ) from error
    return FoundBackbone(module.eval(), name, stem, image_size, notes)


def _named(key: str) -> str:
    place, _, rest = key.partition(".")
    return f"{_PLACES.get(place, place)}.{rest}"


def _told_by_weights(weights: Mapping[str, Tensor], stem: Stem) -> str | None:
    shapes = {key: value.shape for key, value in weights.items()}
    for name in RESNETS:
        with torch.device("meta"):
            model = build_meta(name, stem)
        if {key: value.shape for key, value in model.state_dict().items()} == shapes:
            return name
    return None


def build_meta(name: str, stem: Stem) -> nn.Module:
    """A ResNet without memory, for its names and shapes."""
    # Of the usual size: it needs no check whether images fit, which takes memory.
    return build_backbone(name, stem=stem, image_size=224)
