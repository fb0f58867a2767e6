"""One run as data: what it is, its key, its file name."""

import dataclasses
import hashlib
import inspect
import json
from dataclasses import dataclass
from typing import Any

from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.base.names import file_name
from df_heads.benchmarks.harness.base.settings import attributes_text, setting, settings_of

UNTRAINED = "untrained"
HEAD_OPTIONS = ("num_layers", "num_heads", "norm_first", "sequence_length", "hidden_dim")
PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")
# Groups of the command-line flags.
DATA, RECIPE, MACHINE = "data", "recipe", "machine"
# Seeds go to numpy, which takes 32 bits.
_MOST_SEED = 2**32 - 1


@dataclass(frozen=True)
class Experiment:
    """Everything that decides the numbers of one run; equal experiments share one result file.

    Defaults are the paper's recipe (arXiv 2403.18681, "Experiment") where it names a value. A field
    carries all that there is to say of it (see settings.Setting): the flag, its help, the source of
    the default and the limits are made from that.

    Raises:
        InputError: If a number is not finite or beyond its limits.
    """

    dataset: str = setting(help="a data set, see data.sources", is_name=True)
    head: str = setting(
        help='a head, see train.heads, or "untrained" for the backbone before any step',
        is_name=True,
    )
    backbone: str = setting("resnet18", "a timm model", is_name=True)
    stem: str = setting(
        "imagenet",
        "the paper's 7x7 stem, or a 3x3 stem",
        group=RECIPE,
        choices=("imagenet", "small"),
    )
    views: str = setting(
        "separate",
        "each view its own sequence, or both in one",
        source="paper: silent",
        group=RECIPE,
        choices=("separate", "joint"),
    )
    image_size: int = setting(32, "side in pixels", source="paper", group=DATA, least=8, most=4096)
    train_images: int | None = setting(
        None,
        "use this many training images, equally many of each class",
        group=DATA,
        default_help="all",
        least=2,
        most=2**40,
    )
    epochs: int = setting(
        1000,
        "passes over the training images",
        source="paper: at most 1000",
        group=RECIPE,
        least=0,
        most=10**7,
    )
    batch_size: int = setting(
        1024, "images per step over all devices", source="paper", group=RECIPE, least=2, most=2**24
    )
    learning_rate: float = setting(
        0.3,
        "peak of SGD",
        source="paper: tuned, value not given",
        group=RECIPE,
        above=0,
        most=1e6,
    )
    momentum: float = setting(0.9, "momentum of SGD", source="paper", least=0, below=1)
    weight_decay: float = setting(
        1e-3, "not on biases, norms and scales", source="paper", group=RECIPE, least=0, most=1e6
    )
    warmup_fraction: float = setting(
        0.1,
        "part of the run with rising learning rate",
        source="paper: silent",
        group=RECIPE,
        least=0,
        below=1,
    )
    gradient_clip: float = setting(
        1.0,
        "largest norm of the gradient",
        source="paper: silent",
        group=RECIPE,
        above=0,
        most=1e30,
    )
    temperature: float = setting(
        0.2,
        "of the softmax in the loss",
        source="paper",
        group=RECIPE,
        default_help="0.2, or 0.1 in nnclr and supcon",
        above=0,
        most=1e6,
        methods=("simclr", "moco", "nnclr", "supcon"),
        defaults_of_methods={"nnclr": 0.1, "supcon": 0.1},
    )
    min_scale: float = setting(
        0.08, "smallest crop, as a part of the image's area", source="SimCLR", above=0, most=1
    )
    color_jitter: float = setting(
        0.5,
        "strength of the color jitter",
        source="SimCLR, Appendix B.9, for CIFAR",
        least=0,
        most=2.5,
    )
    gaussian_blur: float = setting(0.5, "probability of blurring", source="SimCLR", least=0, most=1)
    rotation: float = setting(
        15.0,
        "largest rotation in degrees, applied to half of the views",
        source="the paper rotates and does not say how far",
        least=0,
        most=180,
    )
    precision: str = setting(
        "32-true", "a precision of Lightning's Trainer", group=RECIPE, choices=PRECISIONS
    )
    devices: int = setting(
        1,
        "the batch is divided among them; a head's sequences and the statistics of BatchNorm are "
        "those of one",
        group=MACHINE,
        least=1,
        most=2**16,
    )
    seed: int = setting(
        0, "of the weights, the order of the images and their views", least=0, most=_MOST_SEED
    )
    num_layers: int | None = setting(
        None, "layers of the head", default_help="the preset's", least=1, most=1000
    )
    num_heads: int | None = setting(
        None, "attention heads in each layer", default_help="the preset's", least=1, most=2**16
    )
    norm_first: bool | None = setting(
        None,
        "whether the LayerNorms come before or after",
        source="paper: silent",
        default_help="the preset's",
    )
    sequence_length: int | None = setting(
        None, "most samples in one sequence", default_help="the preset's", least=1, most=2**40
    )
    method: str = setting(
        "simclr",
        "training method, see train.methods",
        group=RECIPE,
        metavar="NAME",
        is_name=True,
    )
    queue_size: int | None = setting(
        None,
        "keys in MoCo's queue, projections in NNCLR's support set",
        group=RECIPE,
        default_help="4096",
        least=2,
        most=2**31,
        methods=("moco", "nnclr"),
    )
    teacher_momentum: float | None = setting(
        None,
        "of the moving average; short runs need less",
        group=RECIPE,
        default_help="0.999 in moco, 0.996 in byol and dino",
        methods=("moco", "byol", "dino"),
        least=0,
        most=1,
    )
    holdout: float = setting(
        0.0,
        "share of each training class that is neither trained on nor probed with, but evaluated on "
        "in place of the test set, as for tuning",
        default_help="none",
        least=0,
        below=1,
    )
    augment: str = setting(
        "ours",
        "what draws the views; lightly's runs in --workers, kornia's must be installed",
        group=RECIPE,
        choices=("ours", "kornia", "lightly"),
    )
    compiled: bool = setting(
        False,
        "compile the training step (simclr, ours, one device); the same numbers but for rounding",
        group=RECIPE,
    )
    mask_partner: bool = setting(
        False,
        "whether, with joint views, no token may attend to the other view of its image",
        methods=("simclr",),
    )
    streams: int = setting(
        1,
        "2 for the loss with and without mixing, see SimCLR",
        methods=("simclr",),
        least=1,
        most=2,
    )
    hidden_dim: int | None = setting(
        None, "hidden width of the head", default_help="the preset's", least=1, most=2**20
    )
    imbalance: float = setting(
        1.0,
        "train with so many images of the largest class for each of the smallest, falling "
        "exponentially; probes keep all",
        group=DATA,
        metavar="RATIO",
        least=1,
        most=1e9,
    )
    loss_chunk_size: int | None = setting(
        None,
        "rows of NT-Xent held at a time",
        group=RECIPE,
        default_help="1024",
        methods=("simclr",),
        least=1,
        most=2**31,
    )

    classes: int | None = setting(
        None,
        "use the images of this many classes, the first ones, in both splits",
        group=DATA,
        default_help="all",
        least=2,
        most=2**20,
    )
    num_prototypes: int | None = setting(
        None,
        "outputs of DINO's last layer",
        group=RECIPE,
        default_help="65536, the paper's",
        methods=("dino",),
        least=1,
        most=2**24,
    )

    def __post_init__(self) -> None:
        for name, about in SETTINGS.items():
            about.check(name, getattr(self, name))
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
        """File name of the run without its ending: readable, and unique by its key.

        Import paths and hub names become one part of a file name, whatever they hold.
        """
        method = "" if self.method == "simclr" else f"-{self.method}"
        readable = f"{self.dataset}-{self.backbone}{method}-{self.head}"
        return f"{file_name(readable)}-{self.epochs}ep-s{self.seed}-{self.key}"

    @property
    def untrained(self) -> "Experiment":
        """The same backbone before training; the settings of training are left at defaults."""
        kept = ("dataset", "backbone", "stem", "image_size", "train_images", "seed", "holdout")
        values = {name: getattr(self, name) for name in (*kept, "classes")}
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

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Experiment":
        """The experiment of a stored config.

        Raises:
            InputError: If it is none of this version's.
        """
        unknown = sorted(config.keys() - SETTINGS.keys())
        if unknown:
            raise InputError(f"the config has {', '.join(unknown)}, which no experiment has.")
        try:
            return cls(**config)
        except TypeError as error:
            raise InputError(f"the config is no experiment's ({error}).") from error


#: Field name -> what it is, in order.
SETTINGS = settings_of(Experiment)
Experiment.__doc__ = f"{inspect.getdoc(Experiment)}\n\n{attributes_text(Experiment)}"
