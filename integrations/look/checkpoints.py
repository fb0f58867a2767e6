"""Checkpoints of Lightning, ours or of lightly and solo-learn with a head of ours swapped in."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from df_heads.integrations.choices import Stem
from df_heads.integrations.errors import InputError
from df_heads.integrations.files.torch_files import DamagedFileError, read_torch
from df_heads.integrations.look.found_backbone import find_backbone
from df_heads.integrations.look.found_head import find_head
from df_heads.integrations.look.subject import Subject
from df_heads.integrations.runs import Preprocessing

#: Side of the images where a checkpoint does not say it, by stem.
_USUAL_SIZE: Mapping[Stem, int] = {"small": 32, "imagenet": 224}


def subject_of_checkpoint(
    file: Path, *, backbone: str | None, image_size: int | None, num_heads: int | None
) -> Subject:
    """A checkpoint file: weights, and for ours the names of the parts.

    Args:
        file: A Lightning checkpoint or a state_dict, with keys as backbone.conv1.weight.
        backbone: timm's name of the backbone; None to tell it from the file.
        image_size: Side of the images in pixels; None for the file's, or 32 with a stem for small
            images and 224 without.
        num_heads: Attention heads of the head; None to tell it from the file, or for heads of the
            default width.

    Raises:
        InputError: If the file is damaged, or holds no head or no backbone that can be told.
    """
    try:
        content = read_torch(file)
    except DamagedFileError as error:
        raise InputError(
            f"{file} cannot be read as a checkpoint of tensors and plain data ({error}); fetch it "
            "again, or save the state_dict alone by torch.save(model.state_dict(), FILE)."
        ) from error
    state = content.get("state_dict", content) if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping) or not any(isinstance(v, Tensor) for v in state.values()):
        raise InputError(f"{file} holds no weights; give a Lightning checkpoint or a state_dict.")
    found: Any = content.get("hyper_parameters", {})
    settings: Mapping[str, Any] = found if isinstance(found, Mapping) else {}
    head = find_head(state, settings, num_heads, file)
    body = find_backbone(state, settings, backbone, image_size, file)
    size = body.image_size or _USUAL_SIZE[body.stem]
    notes = [*body.notes, *head.notes]
    if body.image_size is None:
        notes.append(
            f"The side of the images is not in the file: pictures are looked at at {size} x {size} "
            "pixels (--image-size changes it)."
        )
    preprocessing = Preprocessing(image_size=size)
    notes.append(
        "How pictures were normalised is not in the file: ImageNet's mean and deviation are taken."
    )
    return Subject(
        name=file.name,
        backbone=body.module,
        head=head.module,
        head_title=head.title,
        preprocessing=preprocessing,
        place=file.with_name(f"{file.stem}-look"),
        facts=[
            ("checkpoint", file.name),
            *([("step", str(content["global_step"]))] if "global_step" in content else []),
            ("backbone", f"{body.name}, stem {body.stem}"),
            ("head", head.title),
            ("resize", str(preprocessing)),
        ],
        notes=notes,
    )
