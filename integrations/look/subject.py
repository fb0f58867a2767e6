"""What is looked at: a run of ours, or a checkpoint of anybody's that holds a head."""

from dataclasses import dataclass, field
from pathlib import Path

from torch import nn

from df_heads import TransformerProjectionHead
from df_heads.integrations.errors import InputError
from df_heads.integrations.look.curve import Curve, read_curve
from df_heads.integrations.runs import Preprocessing, Run, load_backbone, load_head


@dataclass(frozen=True)
class Subject:
    """A trained model, and what is known of it.

    Attributes:
        name: For the title.
        backbone: From normalised images to features, in evaluation mode.
        head: The projection head; None for one that does not attend.
        head_title: What to call it.
        preprocessing: What pictures go through first.
        facts: What to say of it, as (what, value).
        notes: What was not in the file and had to be assumed, a sentence each.
        folder: Of the pictures it was trained on, if that is known.
        curve: Its training; None if that is not known.
        place: Where the page goes if nothing else is said.
    """

    name: str
    backbone: nn.Module
    head: TransformerProjectionHead | None
    head_title: str
    preprocessing: Preprocessing
    place: Path
    facts: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    folder: Path | None = None
    curve: Curve | None = None


def subject_of_run(run: Run) -> Subject:
    """A run folder of df-heads train.

    Raises:
        InputError: If its weights or its curve are missing or damaged.
    """
    config = run.config
    backbone, preprocessing = load_backbone(run)
    head = load_head(run)
    images = config.images
    kinds = f" in {len(images.classes)} classes" if images.classes else ", without labels"
    head_title = config.head.name or config.head.class_name
    stem = config.backbone.options.get("stem", "imagenet")
    return Subject(
        name=run.path.resolve().name,
        backbone=backbone,
        head=head if isinstance(head, TransformerProjectionHead) else None,
        head_title=head_title,
        preprocessing=preprocessing,
        place=run.path / "look",
        facts=[
            ("method", config.method),
            ("backbone", f"{config.backbone.name}, stem {stem}"),
            ("head", head_title),
            ("trained on", f"{images.count} pictures{kinds}; {images.held_out} held out"),
            ("resize", str(preprocessing)),
            ("command", config.command),
        ],
        folder=Path(images.folder),
        curve=read_curve(run),
    )


def require_folder(subject: Subject, folder: Path | None) -> Path:
    """The folder of pictures to look at.

    Raises:
        InputError: If none is given and none is known.
    """
    chosen = folder or subject.folder
    if chosen is None:
        raise InputError(
            f"a checkpoint does not say which pictures to look at; name their folder, as in "
            f"df-heads look {subject.name} FOLDER."
        )
    return chosen
