"""What the self-supervised methods share: a backbone, a head and an optimiser."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, get_args

try:
    from lightly.models.utils import concat_all_gather, get_weight_decay_parameters
    from lightly.utils.dist import world_size
    from lightly.utils.lars import LARS
    from lightly.utils.scheduler import CosineWarmupScheduler
except ImportError as error:
    raise ImportError(
        "The methods of df_heads.integrations need lightly 1.6: pip install 'lightly>=1.6,<2'"
    ) from error
try:
    from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig

    from df_heads.integrations.training.either_lightning import LightningModule
except ImportError as error:
    raise ImportError(
        "The methods of df_heads.integrations need Lightning: pip install pytorch-lightning"
    ) from error
import torch
from torch import Tensor, nn

from df_heads import FeedForwardProjectionHead, TransformerProjectionHead, build_head
from df_heads._finite import (
    check_above_zero,
    check_below_one,
    check_counts,
    check_not_negative,
)
from df_heads.integrations.backbones import build_backbone, feature_width
from df_heads.integrations.choices import OPTIMIZERS, Optimizer, Stem
from df_heads.integrations.method.inherited_arguments import InheritedArguments
from df_heads.integrations.training.finiteness import (
    STEPS_BETWEEN_LOOKS,
    check_finite_loss,
    check_finite_weights,
)
from df_heads.presets import DEFAULT_HEAD

Views = Literal["separate", "joint"]


class Method(InheritedArguments, LightningModule, ABC):
    """Backbone, projection head and optimiser; `forward()` gives backbone features.

    Subclasses add `loss`. What they take as ``**options: Unpack[MethodOptions]`` and pass on shows
    in their signature and docstring with the defaults and texts of this class.

    Args:
        backbone: A timm model by name, or any module from images to (N, D) or (N, D, 1, 1).
        head: A name of df_heads.HEAD_PRESETS or any module from (N, D) to (N, d). The default is
            "transformer-stable", in the form that trains in any recipe; "transformer" is in the
            paper's form.
        views: "separate": each view of the batch is a sequence of its own (N tokens). "joint": all
            views that pass through one network share one sequence (2 N tokens), so an image can
            attend to its own other view. The paper does not say which. It matters to heads that
            mix samples, BatchNorm included.
        stem: "imagenet", the model as timm builds it, or "small", what public CIFAR benchmarks use,
            see build_backbone; ignored if backbone is a module.
        image_size: Side of the images in pixels.
        pretrained: Start from timm's weights of the backbone (a download); only for a backbone
            given by name.
        optimizer: "sgd" (the paper's), "lars", which scales each layer's step for large batches
            (Appendix B of SimCLR, arXiv 2002.05709), or "adamw", the usual one for ViTs.
        learning_rate: Peak learning rate for the whole batch; the default is for SGD. The paper
            tunes it without giving values. Each head needs its own.
        momentum: Momentum of SGD and LARS (paper, "Hyperparameters": 0.9); AdamW has its own.
        weight_decay: Weight decay (paper: 1e-3), not applied to biases, norms and scales.
        warmup_fraction: Part of the run in which the learning rate rises linearly from 0; the
            rest follows a cosine (paper: cosine annealing; it names no warmup).
        gradient_clip: Largest norm of the gradient, unless the Trainer's gradient_clip_val says
            otherwise; None clips nothing. Without it a head in the paper's form can collapse
            within its first steps: all projections become parallel, the loss stays at
            log(2 N - 1) and the gradient vanishes. With it this is rarer; a lower learning rate
            and a longer warmup help too. The stable form needs none of the three.
        head_options: Keyword arguments of the head's class that win over the preset's and over
            the method's `head_defaults`, such as {"num_layers": 10}; only for a head given by name.

    Raises:
        TypeError: If a value is of another kind.
        ValueError: If a name is unknown or a number out of range.
    """

    #: Why one image is not a batch.
    least_batch: str
    #: Options of a head given by name that this method needs; head_options win over them.
    head_defaults: Mapping[str, Any] = {}
    #: Whether it trains on labels.
    uses_labels: bool = False
    #: Whether processes exchange their batches.
    gathers: bool = False
    #: Whether SGD updates all parameters in one kernel.
    fused_optimizer: bool = False

    def __init__(
        self,
        backbone: str | nn.Module = "resnet18",
        head: str | nn.Module = DEFAULT_HEAD,
        views: Views = "separate",
        *,
        stem: Stem = "imagenet",
        image_size: int = 32,
        pretrained: bool = False,
        optimizer: Optimizer = "sgd",
        learning_rate: float = 0.3,
        momentum: float = 0.9,
        weight_decay: float = 1e-3,
        warmup_fraction: float = 0.1,
        gradient_clip: float | None = 1.0,
        head_options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        # Names go into the checkpoint, so that load_from_checkpoint builds the same model.
        modules = {"backbone": backbone, "head": head}
        # A checkpoint has weights of its own and needs no download.
        given = [k for k, v in modules.items() if isinstance(v, nn.Module)]
        self.save_hyperparameters(ignore=[*given, "pretrained"])
        if views not in get_args(Views):
            raise ValueError(f"views={views!r} is not known; choose 'separate' or 'joint'.")
        for name, module in modules.items():
            if not isinstance(module, str | nn.Module):
                raise TypeError(
                    f"{name}={module!r} must be a name or a module, not {type(module).__name__}."
                )
        check_counts(image_size=image_size)
        check_below_one(momentum=momentum, warmup_fraction=warmup_fraction)
        if optimizer not in OPTIMIZERS:
            raise ValueError(
                f"optimizer={optimizer!r} is not known; choose 'sgd', 'lars' or 'adamw'."
            )
        if pretrained and not isinstance(backbone, str):
            raise ValueError(
                f"pretrained=True is for a backbone given by name; this one is a "
                f"{type(backbone).__name__}: load its weights before."
            )
        check_above_zero(learning_rate=learning_rate)
        check_not_negative(weight_decay=weight_decay)
        if gradient_clip is not None:
            check_above_zero(gradient_clip=gradient_clip)
        if head_options and not isinstance(head, str):
            raise ValueError(
                f"head_options={dict(head_options)} are for a head given by name; this one is a "
                f"{type(head).__name__}: build it with them."
            )
        self.views = views
        self.image_size = image_size
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.warmup_fraction = warmup_fraction
        self.gradient_clip = gradient_clip
        if isinstance(backbone, str):
            backbone = build_backbone(
                backbone, stem=stem, image_size=image_size, pretrained=pretrained
            )
        self.backbone = backbone
        # Heads draw different amounts of random numbers; what comes after must not depend on it,
        # so that runs with different heads and the same seed stay paired.
        with torch.random.fork_rng():
            if isinstance(head, str):
                width = feature_width(self.backbone, image_size)
                head = build_head(head, width, **{**self.head_defaults, **(head_options or {})})
            self.projection_head = head

    def forward(self, images: Tensor) -> Tensor:
        """Backbone features (N, D) of images (N, 3, H, W)."""
        features: Tensor = self.backbone(images)
        return features.flatten(start_dim=1)

    def project(self, features: Sequence[Tensor], head: nn.Module | None = None) -> list[Tensor]:
        """Projections of each view's features (N, D), with the sequences that `views` names.

        Args:
            features: One tensor for each view.
            head: The head to use; None for the projection head.
        """
        head = self.projection_head if head is None else head
        if self.views == "joint":
            joined: Tensor = head(torch.cat(list(features)))
            return list(joined.chunk(len(features)))
        if isinstance(head, TransformerProjectionHead | FeedForwardProjectionHead):
            return list(head(torch.stack(list(features))))
        return [head(view) for view in features]

    def measure_projection_dim(self) -> int:
        """Width of the projections, measured on one blank image; for what comes behind the head."""
        both = nn.Sequential(self.backbone, nn.Flatten(), self.projection_head)
        return feature_width(both, self.image_size)

    @staticmethod
    @contextmanager
    def own_random_stream() -> Iterator[None]:
        """Random numbers of their own for a module beside the head; the caller's are not used up.

        Runs with different heads and the same seed stay paired.
        """
        with torch.random.fork_rng():
            torch.manual_seed(int(torch.randint(2**31, ())))
            yield

    @abstractmethod
    def loss(self, views: Sequence[Tensor]) -> Tensor:
        """The loss of two views, (N, 3, H, W) each."""

    def loss_of_batch(self, batch: Any, views: Sequence[Tensor]) -> Tensor:
        """The loss of a batch with these views; for methods that look at more of it than those."""
        return self.loss(views)

    @classmethod
    def short_run_options(cls, batch_size: int) -> dict[str, Any]:
        """Arguments of its own for hundreds of steps on a small data set; the rest are defaults.

        Args:
            batch_size: Images in a batch.
        """
        return {}

    @classmethod
    def collapsed_loss(
        cls, batch_size: int | None, options: Mapping[str, Any]
    ) -> tuple[float, str] | None:
        """The loss of projections that are all equal, and how it comes about.

        Args:
            batch_size: Images in a batch; None if not known.
            options: Arguments of its own.

        Returns:
            None where no number is known.
        """
        return None

    def check_batch_size(self, images: int, processes: int = 1) -> None:
        """Check that the method can train on batches of this size.

        Args:
            images: Images in a batch of one process.
            processes: Number of processes.

        Raises:
            ValueError: If it cannot.
        """
        if images < 2:
            raise ValueError(
                f"The batch holds {images} image; {self.least_batch}. Use a larger batch, or "
                "drop_last=True in the DataLoader."
            )

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """The loss of one batch (views, ...), as lightly's SimCLRTransform gives them.

        It is logged as `train_loss`. On a CPU the progress bar shows it; a GPU would have to be
        waited for in every step.
        """
        views = two_views(batch)
        self.check_batch_size(len(views[0]), world_size())
        if self.gathers and world_size() > 1:
            check_equal_batches(views[0])
        loss = self.loss_of_batch(batch, views)
        self.log(
            "train_loss",
            loss,
            prog_bar=loss.device.type == "cpu",
            on_step=True,
            on_epoch=True,
            batch_size=len(views[0]),
        )
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Stop where the loss is not finite any more.

        On a GPU it is looked at after every 50th step and after the last of an epoch: reading it
        waits for the device.

        Raises:
            NotFiniteError: If it is not.
        """
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
        last = self.trainer.is_last_batch
        if isinstance(loss, Tensor) and (
            last or loss.device.type == "cpu" or batch_idx % STEPS_BETWEEN_LOOKS == 0
        ):
            check_finite_loss(loss, batch, self._where(batch_idx), self.learning_rate)

    def on_train_epoch_end(self) -> None:
        """Stop before a checkpoint can hold weights that are not finite.

        Raises:
            NotFiniteError: If one is not.
        """
        where = f"epoch {self.current_epoch + 1}"
        check_finite_weights(self.trained_modules(), where, self.learning_rate)

    def _where(self, batch_idx: int) -> str:
        return f"epoch {self.current_epoch + 1}, step {batch_idx + 1}"

    def trained_modules(self) -> list[nn.Module]:
        """The modules that the optimiser trains."""
        return [self.backbone, self.projection_head]

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip to the Trainer's gradient_clip_val, or else to gradient_clip."""
        self.clip_gradients(
            optimizer,
            gradient_clip_val=self.gradient_clip
            if gradient_clip_val is None
            else gradient_clip_val,
            gradient_clip_algorithm=gradient_clip_algorithm,
        )

    def build_optimizer(self) -> torch.optim.Optimizer:
        """The optimiser at the peak learning rate; biases, norms and scales do not decay."""
        decayed, free = get_weight_decay_parameters(self.trained_modules())
        # lightly's function also decays bare vectors, such as the scales of attention="tied".
        free += [p for p in decayed if p.dim() < 2]
        decayed = [p for p in decayed if p.dim() >= 2]
        groups: list[dict[str, Any]] = [
            {"name": "decayed", "params": decayed},
            {"name": "not_decayed", "params": free, "weight_decay": 0.0},
        ]
        rate: dict[str, Any] = {"lr": self.learning_rate, "weight_decay": self.weight_decay}
        # None, not False, which would also turn off what torch does for many tensors at once.
        fused = True if self.fused_optimizer else None
        if self.optimizer == "adamw":
            return torch.optim.AdamW(groups, **rate, fused=fused)
        if self.optimizer == "lars":
            lars: torch.optim.Optimizer = LARS(groups, **rate, momentum=self.momentum)
            return lars
        return torch.optim.SGD(groups, **rate, momentum=self.momentum, fused=fused)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """The optimiser with linear warmup and a cosine over the whole run, stepped every batch.

        Raises:
            ValueError: If the Trainer has no end to anneal towards.
        """
        steps = self.trainer.estimated_stepping_batches
        if steps == float("inf"):
            raise ValueError(
                "The cosine schedule needs an end: give the Trainer max_epochs or max_steps."
            )
        optimizer = self.build_optimizer()
        scheduler = CosineWarmupScheduler(
            optimizer, warmup_epochs=int(self.warmup_fraction * steps), max_epochs=int(steps)
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }


def check_equal_batches(images: Tensor) -> None:
    """Check that the batches of all processes are equally large.

    Raises:
        ValueError: In every process, where gathering them would hang or mix up memory.
    """
    sizes = concat_all_gather(torch.tensor([len(images)], device=images.device)).tolist()
    if len(set(sizes)) > 1:
        raise ValueError(
            f"The processes have batches of {sizes} images; gathering needs equal ones. Use "
            "drop_last=True in the DataLoader."
        )


def two_views(batch: Any) -> tuple[Tensor, Tensor]:
    """The two views of a lightly batch: (views, ...) with views a list of two image tensors.

    Raises:
        ValueError: If there are not two views of equal shape.
    """
    views = batch[0] if isinstance(batch, list | tuple) else batch
    if isinstance(views, list | tuple) and len(views) > 2:
        raise ValueError(
            f"The batch holds {len(views)} views of each image; the methods take 2, for to a head "
            "that attends over the batch each further crop would be a sequence of its own. Leave "
            "them out, as lightly's DINOTransform(n_local_views=0) does."
        )
    if not isinstance(views, list | tuple) or len(views) != 2:
        raise ValueError(
            "A batch must be (views, ...) with views a list of 2 image tensors, as lightly's "
            "SimCLRTransform gives them; this one has no such list."
        )
    first, second = views
    if first.shape != second.shape:
        raise ValueError(
            f"The two views have shapes {tuple(first.shape)} and {tuple(second.shape)}; they must "
            "be equal."
        )
    return first, second
