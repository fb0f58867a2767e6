"""What the config.json of a run folder holds, as types."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from df_heads.integrations.runs.preprocessing import Preprocessing

#: Of config.json; a reader refuses what is newer.
FORMAT = 1
CONFIG, CURVE, CHECKPOINTS = "config.json", "curve.csv", "checkpoints"
BACKBONE, HEAD = "backbone.safetensors", "head.safetensors"


class BackboneConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How to build the backbone.

    Attributes:
        name: timm's.
        image_size: Side of the images in pixels that it was built for.
        options: Other keyword arguments of build_backbone, such as {"stem": "small"}.
    """

    name: str
    image_size: int
    options: dict[str, Any]


class HeadConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How to build the head.

    Attributes:
        name: Its preset; None for a head that has none.
        class_name: A class of df_heads; "class" in the file.
        options: Keyword arguments that build exactly this one.
    """

    name: str | None
    class_name: str = msgspec.field(name="class")
    options: dict[str, Any]


class ImagesConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The pictures of the run.

    Attributes:
        folder: Where they were.
        count: How many, the held out ones included.
        classes: Their classes; None if they had none.
        held_out: How many of them were not trained on, and measure the features.
        fingerprint: Of the pixels and labels.
    """

    folder: str
    count: int
    classes: list[str] | None
    held_out: int
    fingerprint: str


class FeaturesConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What training was worth, measured on the same pictures before it and after it.

    Attributes:
        metric: "knn", the share of pictures whose neighbours have their class, or "rank_me", the
            effective number of dimensions.
        pictures: How many it was measured on.
        untrained: Before.
        trained: After.
    """

    metric: str
    pictures: int
    untrained: float
    trained: float


class RunConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The content of config.json.

    Attributes:
        format: Of the file.
        df_heads: Version that wrote it.
        method: One of df_heads.integrations.choices.METHODS.
        method_options: Keyword arguments of the method beside those of its parts.
        backbone: See BackboneConfig.
        head: See HeadConfig.
        preprocessing: How a picture becomes what the backbone takes.
        images: What it was trained on.
        recipe: All settings of the training.
        finished: Whether training came to its end.
        command: A command that repeats the run.
        features: What training was worth; None before its end.
        commit: Of the checkout that wrote it, if it was one.
    """

    format: int
    df_heads: str
    method: str
    method_options: dict[str, Any]
    backbone: BackboneConfig
    head: HeadConfig
    preprocessing: Preprocessing
    images: ImagesConfig
    recipe: dict[str, Any]
    finished: bool
    command: str
    features: FeaturesConfig | None = None
    commit: str | None = None


@dataclass(frozen=True)
class Run:
    """A run folder.

    Attributes:
        path: The folder.
        config: What its config.json says.
    """

    path: Path
    config: RunConfig

    @property
    def backbone_file(self) -> Path:
        """The weights of the backbone."""
        return self.path / BACKBONE

    @property
    def head_file(self) -> Path:
        """The weights of the head."""
        return self.path / HEAD

    @property
    def curve_file(self) -> Path:
        """One row per epoch: epoch, loss, knn or rank_me, learning_rate, seconds."""
        return self.path / CURVE

    @property
    def checkpoints(self) -> Path:
        """Lightning's checkpoints, the last two."""
        return self.path / CHECKPOINTS
