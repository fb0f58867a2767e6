"""A Lightning callback that watches Deep Fusion while a model trains."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

try:
    from pytorch_lightning import LightningModule, Trainer
    from pytorch_lightning.utilities import rank_zero_info, rank_zero_warn

    from df_heads.integrations.training.either_lightning import Callback
except ImportError as error:
    raise ImportError(
        "df_heads.integrations.callbacks needs Lightning: pip install pytorch-lightning"
    ) from error
import torch
from torch import Tensor, nn

from df_heads._finite import check_above_zero
from df_heads._labelled import check_at_least_one
from df_heads.fusion import FusionSummary, NonFiniteError, measure_fusion
from df_heads.fusion._classes import class_index
from df_heads.fusion._measurable import find_head
from df_heads.fusion._undisturbed import undisturbed
from df_heads.integrations.callbacks.fusion_logging import fusion_scalars, same_class_mass_figure
from df_heads.integrations.callbacks.validation_batch import draw_validation_batch


class FusionMonitor(Callback):
    """Measures every layer of the projection head before, during and after training.

    >>> monitor = FusionMonitor(images, labels, every_n_epochs=10)
    >>> Trainer(max_epochs=100, callbacks=[monitor]).fit(model, dataloader)
    >>> monitor.history[100].layers[4].same_class_mass, monitor.history[100].chance

    The same batch is measured each time, by ``measure_fusion``. Every logger of the trainer gets
    the scalars ``fusion/layer<i>/<measure>``, layers counted from 1 as in the paper, numbers per
    attention head averaged over the heads; beside them ``fusion/chance``, the same-class mass of
    uniform attention, and ``fusion/epoch``, the epochs finished. A measure that is not defined is
    left out. TensorBoard also gets a figure of the same-class mass over the layers, if matplotlib
    is installed.

    Works with df-heads' own methods, and with any LightningModule that holds a Transformer
    projection head. Nothing of the model or of the random state is changed. It runs on the first
    process only; strategies that shard the parameters (FSDP, DeepSpeed stage 3) are not supported.

    Args:
        images: What the backbone takes, (N, 3, H, W), augmented as in evaluation. None draws
            `num_samples` of the data set behind the (first) validation DataLoader, once, with a
            fixed seed, and leaves out classes drawn only once.
        labels: (N,), integers, each class at least twice; with images only.
        every_n_epochs: Epochs between two measurements; the last epoch is always measured.
        num_samples: How many images to draw from the validation set. Costs grow with its square.
        head: Name of the head in the module, such as "projection_head"; None for the only one
            that trains.
        features: From the module and images to the features that enter the head; None for
            ``module.backbone(images).flatten(1)``.
        max_gib: See measure_fusion.

    Attributes:
        history: The FusionSummary by number of finished epochs, 0 before training. It is part of
            checkpoints.

    Raises:
        TypeError: If images or labels is not a tensor, or a value is of another kind.
        ValueError: If a number is out of range, one of images and labels is missing, labels do not
            fit images or there are fewer than two classes or two samples of one. When training
            starts: if the module has no such head, there is no validation set to draw from, or
            measure_fusion refuses the batch.
    """

    def __init__(
        self,
        images: Tensor | None = None,
        labels: Tensor | None = None,
        *,
        every_n_epochs: int = 10,
        num_samples: int = 256,
        head: str | None = None,
        features: Callable[[LightningModule, Tensor], Tensor] | None = None,
        max_gib: float = 1.0,
    ) -> None:
        check_at_least_one(every_n_epochs, "every_n_epochs")
        check_at_least_one(num_samples, "num_samples")
        check_above_zero(max_gib=max_gib)
        if head is not None and not isinstance(head, str):
            raise TypeError(f"head={head!r} must be a name or None, not {type(head).__name__}.")
        if features is not None and not callable(features):
            raise TypeError(f"features={features!r} must be a function, or None.")
        self.batch: tuple[Tensor, Tensor] | None = None
        if images is not None and labels is not None:
            if not isinstance(images, Tensor):
                raise TypeError(f"images must be a tensor, got {type(images).__name__}.")
            if images.dim() < 2:
                raise ValueError(
                    f"images has shape {tuple(images.shape)} but must be (N, 3, H, W)."
                )
            class_index(labels, images.flatten(1), name="images", at_least=2)
            self.batch = images, labels
        elif images is not None or labels is not None:
            missing = "labels" if labels is None else "images"
            raise ValueError(f"{missing} is missing; pass images and labels, or neither.")
        self.every_n_epochs = every_n_epochs
        self.num_samples = num_samples
        self.head = head
        self.features = features or _backbone_features
        self.max_gib = max_gib
        self.history: dict[int, FusionSummary] = {}
        self._has_warned = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure what training starts from, and find out whether everything fits."""
        if not trainer.is_global_zero:
            return
        if self.batch is None:
            self.batch = draw_validation_batch(trainer, self.num_samples)
            labels = self.batch[1]
            rank_zero_info(
                f"FusionMonitor measures {len(labels)} images of {len(torch.unique(labels))} "
                "classes of the validation set."
            )
        if _boards(trainer) and find_spec("matplotlib") is None:
            rank_zero_warn("FusionMonitor draws no figures: pip install matplotlib")
        self._measure(trainer, pl_module, trainer.current_epoch)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure after every `every_n_epochs` epochs and after the last."""
        finished = trainer.current_epoch + 1
        due = finished % self.every_n_epochs == 0 or finished == trainer.max_epochs
        if trainer.is_global_zero and due:
            self._measure(trainer, pl_module, finished)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure what training ended with, if it ended early."""
        if trainer.is_global_zero and trainer.current_epoch not in self.history:
            self._measure(trainer, pl_module, trainer.current_epoch)

    def state_dict(self) -> dict[str, Any]:
        """The history, for the checkpoint."""
        return {"history": {epoch: found.as_dict() for epoch, found in self.history.items()}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the history of the interrupted run."""
        self.history = {
            epoch: FusionSummary.from_dict(found) for epoch, found in state_dict["history"].items()
        }

    def _measure(self, trainer: Trainer, pl_module: LightningModule, epoch: int) -> None:
        assert self.batch is not None
        images, labels = self.batch
        precision = trainer.precision_plugin
        head = find_head(_named(pl_module, self.head))
        images = precision.convert_input(images.to(pl_module.device))
        try:
            with undisturbed(pl_module), precision.forward_context():
                features = self.features(pl_module, images)
                summary = measure_fusion(head, features, labels, max_gib=self.max_gib)
        except NonFiniteError as error:
            if not self._has_warned:
                self._has_warned = True
                rank_zero_warn(f"FusionMonitor has no measures after epoch {epoch}: {error}")
            return
        self.history[epoch] = summary
        for logger in trainer.loggers:
            logger.log_metrics(
                {"fusion/epoch": float(epoch), **fusion_scalars(summary)}, step=trainer.global_step
            )
        if find_spec("matplotlib") is not None:
            for logger in _boards(trainer):
                logger.experiment.add_figure(
                    "fusion/same_class_mass",
                    same_class_mass_figure(self.history),
                    global_step=trainer.global_step,
                )


def _boards(trainer: Trainer) -> list[Any]:
    """The loggers that take figures as TensorBoard's SummaryWriter does."""
    loggers: list[Any] = trainer.loggers
    return [logger for logger in loggers if hasattr(logger.experiment, "add_figure")]


def _named(pl_module: LightningModule, name: str | None) -> nn.Module:
    try:
        found: nn.Module = pl_module.get_submodule(name or "")
    except AttributeError:
        raise ValueError(
            f"head={name!r} is not in {type(pl_module).__name__}; pass the name of its Transformer "
            "projection head, or None if it has one only."
        ) from None
    return found


def _backbone_features(pl_module: LightningModule, images: Tensor) -> Tensor:
    backbone = getattr(pl_module, "backbone", None)
    if not isinstance(backbone, nn.Module):
        raise ValueError(
            f"{type(pl_module).__name__} has no backbone; give FusionMonitor a function features("
            "module, images) that returns what enters the projection head."
        )
    features: Tensor = backbone(images)
    return features.flatten(1)
