"""One run as data: what it is, its key, its file name."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.base.ranges import check_ranges

UNTRAINED = "untrained"
HEAD_OPTIONS = ("num_layers", "num_heads", "norm_first", "sequence_length", "hidden_dim")


@dataclass(frozen=True)
class Experiment:
    """Everything that decides the numbers of one run; equal experiments share one result file.

    Defaults are the paper's recipe (arXiv 2403.18681, "Experiment") where it names a value.

    Attributes:
        dataset: A name of sources.DATASETS.
        head: A name of heads.HEADS, or "untrained" for the backbone before any step.
        backbone: A timm model.
        stem: "imagenet" or "small", see integrations.backbones.
        views: "separate" or "joint", see integrations.method.
        image_size: Side of the images in pixels (paper: 32).
        train_images: Use this many training images, equally many of each class; None for all.
        epochs: Passes over the training images (paper: at most 1000).
        batch_size: Images per step, over all devices (paper: 1024).
        learning_rate: Peak learning rate of SGD (paper: tuned, value not given;
            not tuned here yet).
        momentum: Momentum of SGD (paper: 0.9).
        weight_decay: Weight decay (paper: 1e-3).
        warmup_fraction: Part of the run with rising learning rate (paper: silent).
        gradient_clip: Largest norm of the gradient (paper: silent).
        temperature: Temperature of NT-Xent (paper: 0.2).
        min_scale: Smallest crop, as a part of the image's area (SimCLR: 0.08).
        color_jitter: Strength of the colour jitter (SimCLR, Appendix B.9: 0.5 for CIFAR).
        gaussian_blur: Probability of blurring (SimCLR: 0.5).
        rotation: Largest rotation in degrees, applied to half of the views (the paper rotates and
            does not say how far).
        precision: A precision of Lightning's Trainer.
        devices: The batch is divided among them; a head's sequences and the statistics of BatchNorm
            are those of one device.
        seed: Seeds the weights, the order of the images and their views.
        num_layers: Layers of the head; None for the preset's, as with the next three.
        num_heads: Attention heads in each layer.
        norm_first: Whether the LayerNorms come before or after (paper: silent).
        sequence_length: Most samples in one sequence.
        method: A name of methods.METHODS.
        queue_size: Keys that MoCo contrasts with; None for its default, as with the next.
        teacher_momentum: Momentum of the moving average of MoCo and BYOL.
        holdout: Share of each training class that is neither trained on nor probed with, but
            evaluated on in place of the test set, as for tuning; 0 for none.
        augment: What draws the views, a name of views.AUGMENTS. They differ in details (see
            df_heads.augment.simclr) and in speed.
        compiled: Whether the whole step is compiled, see integrations.compiled_simclr.
        mask_partner: Whether, with joint views, no token may attend to the other view of its image.
        streams: 2 for the loss with and without mixing, see SimCLR.
        hidden_dim: Hidden width of the head; None for the preset's.
        imbalance: Images of the largest class for each of the smallest in training; 1 leaves the
            classes as they are. Probes keep all labels, see subsets.pretraining_images.
        loss_chunk_size: Rows of NT-Xent's similarities held at a time, which saves memory and
            changes results by rounding only; None for lightly's loss, all rows at once.
    """

    dataset: str
    head: str
    backbone: str = "resnet18"
    stem: str = "imagenet"
    views: str = "separate"
    image_size: int = 32
    train_images: int | None = None
    epochs: int = 1000
    batch_size: int = 1024
    learning_rate: float = 0.3
    momentum: float = 0.9
    weight_decay: float = 1e-3
    warmup_fraction: float = 0.1
    gradient_clip: float = 1.0
    temperature: float = 0.2
    min_scale: float = 0.08
    color_jitter: float = 0.5
    gaussian_blur: float = 0.5
    rotation: float = 15.0
    precision: str = "32-true"
    devices: int = 1
    seed: int = 0
    num_layers: int | None = None
    num_heads: int | None = None
    norm_first: bool | None = None
    sequence_length: int | None = None
    method: str = "simclr"
    queue_size: int | None = None
    teacher_momentum: float | None = None
    holdout: float = 0.0
    augment: str = "ours"
    compiled: bool = False
    mask_partner: bool = False
    streams: int = 1
    hidden_dim: int | None = None
    imbalance: float = 1.0
    loss_chunk_size: int | None = None

    def __post_init__(self) -> None:
        check_ranges({f.name: getattr(self, f.name) for f in dataclasses.fields(self)})
        if self.epochs == 0 and self.head != UNTRAINED:
            raise InputError("--epochs 0 trains nothing; use at least 1.")

    @property
    def key(self) -> str:
        """Twelve hex digits that differ between experiments that differ.

        Made from the fields that are not at their default, so that a field added later leaves the
        keys of older results as they are.
        """
        fields = dataclasses.fields(self)
        changed = {
            f.name: getattr(self, f.name) for f in fields if getattr(self, f.name) != f.default
        }
        return hashlib.sha256(json.dumps(changed, sort_keys=True).encode()).hexdigest()[:12]

    @property
    def name(self) -> str:
        """File name of the run without its ending: readable, and unique by its key."""
        method = "" if self.method == "simclr" else f"-{self.method}"
        return (
            f"{self.dataset}-{self.backbone}{method}-{self.head}-{self.epochs}ep-s{self.seed}-"
            f"{self.key}"
        )

    @property
    def untrained(self) -> "Experiment":
        """The same backbone before training; the settings of training are left at defaults."""
        kept = ("dataset", "backbone", "stem", "image_size", "train_images", "seed", "holdout")
        values = {name: getattr(self, name) for name in kept}
        return Experiment(head=UNTRAINED, epochs=0, **values)

    @property
    def head_options(self) -> dict[str, Any]:
        """What differs from the head's preset."""
        options = {name: getattr(self, name) for name in HEAD_OPTIONS}
        return {name: value for name, value in options.items() if value is not None}

    def config(self) -> dict[str, Any]:
        """The fields as plain data."""
        return dataclasses.asdict(self)

    def matches(self, config: Any) -> bool:
        """Whether a stored config is this one; fields that it lacks were at today's default."""
        if not isinstance(config, dict):
            return False
        fields = dataclasses.fields(self)
        defaults = {f.name: f.default for f in fields if f.default is not dataclasses.MISSING}
        return {**defaults, **config} == self.config()
