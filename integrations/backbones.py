"""timm backbones by name, with the stem that small images need."""

import difflib
import json
from pathlib import Path
from typing import Any

try:
    import timm
except ImportError as error:
    raise ImportError("df_heads.integrations.backbones needs timm: pip install timm") from error
import torch
from torch import nn

from df_heads._finite import check_counts
from df_heads.integrations.choices import STEMS, Stem

# inception_v3 asks for the most of timm's convolutional models: 75.
ENOUGH_FOR_ALL = 96
# A 32 x 32 image becomes 8 x 8 tokens, as the 3x3 stem leaves a ResNet at full resolution.
SMALL_GRID = 8
#: What may stand before the colon of a name.
_SOURCES = ("hf_hub", "hf-hub", "local-dir")


def build_backbone(
    name: str, *, stem: Stem = "imagenet", image_size: int = 32, pretrained: bool = False
) -> nn.Module:
    """Build a timm model without its classifier: images (N, 3, H, W) to features (N, width).

    Args:
        name: A timm model, such as "resnet18" or "vit_tiny_patch16_224"; or one of the Hugging Face
            hub, "hf_hub:user/name", or of a folder of the same form, "local-dir:path".
        stem: "imagenet" keeps the model as timm builds it: a ResNet halves the image twice before
            its first block, which is what the paper used on 32 x 32 images. "small" is what
            SimCLR (arXiv 2002.05709, Appendix B.9) and the public CIFAR benchmarks use: a ResNet
            gets a 3x3 convolution of stride 1 and no max-pooling; a ViT gets patches of
            image_size / 8 pixels.
        image_size: Side of the images in pixels. ViTs are built for it; convolutional models take
            any size.
        pretrained: Load timm's weights, or those of the hub (a download), or of the folder.

    Returns:
        The model; its `num_features` is the width of the features.

    Raises:
        TypeError: If the name is no string.
        ValueError: If timm, the hub or the folder has no such model, or the stem or the image size
            does not fit it.
    """
    options = create_arguments(name, stem=stem, image_size=image_size)
    try:
        model: nn.Module = timm.create_model(name, pretrained=pretrained, num_classes=0, **options)
    except (AssertionError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"timm cannot build {name!r} for {image_size} x {image_size} images with "
            f"stem={stem!r} ({error}); choose another backbone, image size or stem."
        ) from error
    if stem == "small" and "patch_size" not in options:
        _use_small_stem(model, name)
    if image_size < ENOUGH_FOR_ALL:
        _check_takes(model, name, image_size)
    # Convolutions run faster so: 1.2 times on a CPU with AVX-512, and tensor cores need it.
    return model.to(memory_format=torch.channels_last)


def create_arguments(name: str, *, stem: Stem = "imagenet", image_size: int = 32) -> dict[str, Any]:
    """What timm.create_model is told beside the name: nothing for a model that takes any size.

    A ResNet's small stem is no argument of timm's: build_backbone puts it in afterwards.

    Args:
        name: See build_backbone.
        stem: See build_backbone.
        image_size: See build_backbone.

    Raises:
        ValueError: If there is no such model or stem, or image_size is below 1.
    """
    if stem not in STEMS:
        raise ValueError(f"stem={stem!r} is not known; choose 'imagenet' or 'small'.")
    check_counts(image_size=image_size)
    config = timm.get_pretrained_cfg(architecture(name))
    if config is None or not config.fixed_input_size:
        return {}
    patches = {"patch_size": max(1, image_size // SMALL_GRID)} if stem == "small" else {}
    return {"img_size": image_size, **patches}


def architecture(name: str) -> str:
    """The name that timm has for a model: of the hub's or a folder's, what config.json says.

    Raises:
        ValueError: If there is no such model, or no config.json of timm's form.
    """
    if not isinstance(name, str):
        raise TypeError(f"name={name!r} must be that of a timm model, not {type(name).__name__}.")
    source, _, place = name.partition(":")
    if source not in _SOURCES:
        require_known(name)
        return name
    try:
        if source == "local-dir":
            content = json.loads((Path(place) / "config.json").read_text(encoding="utf-8"))
            found = str(content["architecture"])
        else:
            _, found, _ = timm.models.load_model_config_from_hf(place)
    except Exception as error:  # whatever the network, the hub or the file leads to
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise ValueError(
            f"{name!r} has no config.json that names one of timm's models ({reason}); check the "
            "name and, for the hub, the connection."
        ) from error
    require_known(found)
    return found


def require_known(name: str) -> None:
    """Check that timm has a model.

    Raises:
        ValueError: If it has none of that name.
    """
    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"timm has no backbone {name!r}.{hint} timm.list_models() names them all.")


def _check_takes(model: nn.Module, name: str, image_size: int) -> None:
    """Check by one blank image: what halves it five times and pools can be left with nothing."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            model(torch.zeros(1, 3, image_size, image_size))
    except (RuntimeError, ValueError, AssertionError, IndexError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"timm's {name} cannot take images of {image_size} x {image_size} ({reason}); raise "
            "the image size or choose another backbone."
        ) from error
    finally:
        model.train(training)


def _use_small_stem(model: nn.Module, name: str) -> None:
    first = getattr(model, "conv1", None)
    if not isinstance(model, timm.models.resnet.ResNet) or not isinstance(first, nn.Conv2d):
        raise ValueError(
            f"stem='small' is for timm's ResNets with a single first convolution and for ViTs, not "
            f"for {name!r}; use stem='imagenet'."
        )
    stem = nn.Conv2d(3, first.out_channels, kernel_size=3, stride=1, padding=1, bias=False)
    nn.init.kaiming_normal_(stem.weight, mode="fan_out", nonlinearity="relu")  # as timm does
    model.set_submodule("conv1", stem)
    model.set_submodule("maxpool", nn.Identity())


def feature_width(backbone: nn.Module, image_size: int = 32) -> int:
    """Width of a backbone's features: its `num_features`, or measured on one blank image.

    Raises:
        ValueError: If the backbone does not give one vector per image.
    """
    known = getattr(backbone, "num_features", None)
    if isinstance(known, int):
        return known
    first = next(backbone.parameters(), torch.zeros(()))
    training = {module: module.training for module in backbone.modules()}
    backbone.eval()
    try:
        with torch.no_grad():
            blank = torch.zeros(
                1, 3, image_size, image_size, device=first.device, dtype=first.dtype
            )
            features = backbone(blank).flatten(start_dim=1)
    except RuntimeError as error:
        raise ValueError(
            f"The backbone does not take images of shape (1, 3, {image_size}, {image_size}) "
            f"({error}); give it a `num_features` attribute or pass the right image_size."
        ) from error
    finally:
        for module, flag in training.items():
            module.training = flag
    return int(features.shape[1])
