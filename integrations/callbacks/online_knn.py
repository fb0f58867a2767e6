"""A Lightning callback that says, epoch by epoch, how good the features are while they train."""

import math
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

try:
    from pytorch_lightning import LightningModule, Trainer
    from pytorch_lightning.utilities import rank_zero_warn

    from df_heads.integrations.training.either_lightning import Callback
except ImportError as error:
    raise ImportError(
        "df_heads.integrations.callbacks.online_knn needs Lightning: pip install pytorch-lightning"
    ) from error
import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from df_heads._labelled import check_at_least_one, check_labels
from df_heads.collapse import rank_me
from df_heads.evaluation import extract_features, nearest_neighbors
from df_heads.fusion._undisturbed import undisturbed

#: Names under which our methods, lightly's examples, solo-learn's methods and stable-pretraining's
#: TeacherStudentWrapper keep the backbone that trains; a teacher's is called otherwise.
BACKBONE_NAMES = ("backbone.student", "backbone", "student_backbone", "encoder")
#: Images that go through the backbone at once.
CHUNK = 128


class OnlineKNN(Callback):
    """kNN accuracy of the backbone's features after every epoch; without labels, RankMe.

    >>> Trainer(callbacks=[OnlineKNN()]).fit(model, dataloader)
    >>> Trainer(callbacks=[OnlineKNN(images, labels)]).fit(model, dataloader)

    Each image of a set is classified by the majority of its k nearest others in that set, by cosine
    similarity. The set is one of two:

    - With `images`: those, in evaluation mode. The number is that of held-out images if they are;
      the backbone runs over them once per measurement.
    - Without: the features that the training steps computed anyway, of the first view of the last
      `num_samples` images of the epoch. Nothing is computed twice, so it costs next to nothing, but
      the views are augmented, the model is in training mode and moves on between the steps: read
      how the number changes, and compare it with numbers of the same kind only. A compiled model's
      features cannot be seen: it then says so.

    Every logger, the progress bar and ``trainer.callback_metrics`` get ``knn_accuracy``, from 0 to
    1. Where there are no labels that name two classes or more, ``rank_me`` stands instead: the
    effective number of dimensions of the features (arXiv 2210.02885), at most the smaller of
    images and width. It works with df-heads' own methods, with lightly's and solo-learn's, and
    with any LightningModule that has a backbone; nothing of the training is changed. Under several
    processes each measures its own share, and the mean is logged.

    Args:
        images: What the backbone takes, (N, 3, H, W), as in evaluation; None for the features of
            the training steps.
        labels: (N,), integers, of `images`. Without `images` they are taken from the batch, as its
            last tensor of one integer per image.
        every_n_epochs: Epochs between two measurements; the last epoch is always measured.
        num_samples: How many of an epoch's features to keep. The cost grows with its square.
        k: Neighbours that vote; all others where there are fewer. A tie goes to the lowest label.
        backbone: Name of the backbone in the module; None looks for "backbone",
            "student_backbone" and "encoder".

    Attributes:
        history: The number by epochs finished, by name: ``history["knn_accuracy"][10]``. It is part
            of checkpoints.

    Raises:
        TypeError: If labels is not a tensor.
        ValueError: If a number is out of range, labels stand without images or do not fit them.
            When training starts: if the module has no such backbone. In training: if the backbone
            does not give one vector per image.
    """

    def __init__(
        self,
        images: Tensor | None = None,
        labels: Tensor | None = None,
        *,
        every_n_epochs: int = 1,
        num_samples: int = 512,
        k: int = 10,
        backbone: str | None = None,
    ) -> None:
        check_at_least_one(every_n_epochs, "every_n_epochs")
        check_at_least_one(k, "k")
        if num_samples < 2:
            raise ValueError(f"num_samples={num_samples} must be at least 2; 512 is the default.")
        if images is None and labels is not None:
            raise ValueError(
                "labels need the images that they belong to; pass images too, or neither: labels "
                "of training images are taken from the batches."
            )
        if images is not None and (images.dim() < 2 or len(images) < 2):
            raise ValueError(
                f"images has shape {tuple(images.shape)} but must be (N, 3, H, W), N at least 2."
            )
        if images is not None and labels is not None and len(check_labels(labels)) != len(images):
            raise ValueError(
                f"labels has {len(labels)} entries but images has {len(images)}; pass one label "
                "per image."
            )
        self.images = images
        self.labels = labels
        self.every_n_epochs = every_n_epochs
        self.num_samples = num_samples
        self.k = k
        self.backbone = backbone
        self.history: dict[str, dict[int, float]] = {}
        self._step_features: Tensor | None = None
        self._kept: deque[tuple[Tensor, Tensor | None]] = deque()
        self._handle: RemovableHandle | None = None
        self._has_warned = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Find the backbone and hook on to it."""
        self._remove()
        backbone = self._find(pl_module)
        if self.images is None:
            self._handle = backbone.register_forward_hook(self._keep)

    def _keep(self, backbone: nn.Module, _args: Any, output: Any) -> None:
        # The first call in a step that trains: the other views tell the same.
        if torch.compiler.is_compiling() or not backbone.training:
            return
        if self._step_features is None:
            self._step_features = _vectors(output)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Keep the features of this step, and drop those that are more than num_samples ago."""
        features, self._step_features = self._step_features, None
        if features is None:
            return
        count = next((len(t) for t in _tensors(batch) if t.dim() >= 4), len(features))
        # Both views in one batch: the first comes first.
        features = features[:count].clone()
        self._kept.append((features, _labels_of(batch, len(features))))
        while sum(len(f) for f, _ in self._kept) - len(self._kept[0][0]) >= self.num_samples:
            self._kept.popleft()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure, after every `every_n_epochs` epochs and after the last."""
        finished = trainer.current_epoch + 1
        if finished % self.every_n_epochs == 0 or finished == trainer.max_epochs:
            features, labels = self._measured_set(trainer, pl_module)
            if features is not None and len(features) > 1:
                name, value = measure_features(features, labels, self.k)
                self.history.setdefault(name, {})[finished] = value
                pl_module.log(
                    name,
                    value,
                    prog_bar=True,
                    on_step=False,
                    on_epoch=True,
                    sync_dist=trainer.world_size > 1,
                    batch_size=len(features),
                )
            elif not self._has_warned:
                self._has_warned = True
                rank_zero_warn(
                    "OnlineKNN saw no features of two images or more: the training step does not "
                    "call the backbone, or is compiled; pass images."
                )
        self._kept.clear()

    def _measured_set(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> tuple[Tensor | None, Tensor | None]:
        if self.images is None:
            if not self._kept:
                return None, None
            features = torch.cat([f for f, _ in self._kept])[-self.num_samples :]
            labels = [each for _, each in self._kept if each is not None]
            whole = len(labels) == len(self._kept)
            return features, torch.cat(labels)[-self.num_samples :] if whole else None
        backbone, precision = self._find(pl_module), trainer.precision_plugin
        chunks = (
            precision.convert_input(self.images[start : start + CHUNK])
            for start in range(0, len(self.images), CHUNK)
        )
        with undisturbed(pl_module), precision.forward_context():
            return extract_features(backbone, chunks), self.labels

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Let go of the backbone."""
        self._remove()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Let go of the backbone."""
        self._remove()

    def state_dict(self) -> dict[str, Any]:
        """The history, for the checkpoint."""
        return {"history": {name: dict(values) for name, values in self.history.items()}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the history of the interrupted run."""
        self.history = {name: dict(values) for name, values in state_dict["history"].items()}

    def _find(self, pl_module: LightningModule) -> nn.Module:
        names = BACKBONE_NAMES if self.backbone is None else (self.backbone,)
        modules: dict[str, nn.Module] = dict(pl_module.named_modules())
        found = next((modules[name] for name in names if name in modules), None)
        if found is None:
            asked = (
                "no backbone that OnlineKNN knows"
                if self.backbone is None
                else (f"no module {self.backbone!r}")
            )
            raise ValueError(
                f"{type(pl_module).__name__} has {asked}; pass the name of the module that gives "
                'features, as in OnlineKNN(backbone="my_encoder").'
            )
        return found

    def _remove(self) -> None:
        if self._handle is not None:
            self._handle.remove()
        self._handle = self._step_features = None
        self._kept.clear()


def measure_features(
    features: Tensor, labels: Tensor | None = None, k: int = 10
) -> tuple[str, float]:
    """The number of OnlineKNN, of any features.

    Args:
        features: (N, D), N at least 2.
        labels: (N,), integers, if there are any.
        k: Neighbours that vote; all others where there are fewer.

    Returns:
        Its name, "knn_accuracy" or without labels "rank_me", and the number; NaN of features that
        are not finite.
    """
    is_finite = bool(features.isfinite().all())
    if labels is None or not _names_classes(labels):
        return "rank_me", float(rank_me(features.cpu())) if is_finite else math.nan
    if not is_finite:
        return "knn_accuracy", math.nan
    neighbors = nearest_neighbors(features, min(k, len(features) - 1)).indices
    labels = labels.to(neighbors.device)
    classes, index = torch.unique(labels, return_inverse=True)
    votes = nn.functional.one_hot(index[neighbors], len(classes)).sum(dim=1)
    return "knn_accuracy", float((votes.argmax(dim=1) == index).double().mean())


def _vectors(output: Any) -> Tensor:
    if not isinstance(output, Tensor) or output.dim() < 2 or math.prod(output.shape[2:]) != 1:
        found = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise ValueError(
            f"the backbone gave {found}, not one vector per image, (N, D) or (N, D, 1, 1); name "
            'the module that does, as in OnlineKNN(backbone="backbone.pool").'
        )
    return output.detach().flatten(start_dim=1)


def _tensors(batch: Any) -> Iterator[Tensor]:
    """The tensors of a batch, whatever it nests them in, in order."""
    if isinstance(batch, Tensor):
        yield batch
    elif isinstance(batch, Mapping):
        yield from _tensors(list(batch.values()))
    elif isinstance(batch, list | tuple):
        for part in batch:
            yield from _tensors(part)


def _labels_of(batch: Any, count: int) -> Tensor | None:
    """The last tensor of one integer per image: solo-learn's batches start with the indices.

    In dicts, such as stable-pretraining's, which hold the indices too, one that is called "label".
    """
    named = list(_tensors(list(_called("label", batch))))
    tensors = named or _tensors(batch)
    found = [t for t in tensors if t.shape == (count,) and not t.is_floating_point()]
    return found[-1] if found else None


def _called(name: str, batch: Any) -> Iterator[Any]:
    """What a batch holds under this name, however deep."""
    if isinstance(batch, Mapping):
        if name in batch:
            yield batch[name]
        batch = list(batch.values())
    if isinstance(batch, list | tuple):
        for part in batch:
            yield from _called(name, part)


def _names_classes(labels: Tensor) -> bool:
    """Whether there are two classes and one of them twice: indices of images are no labels."""
    return 1 < len(torch.unique(labels)) < len(labels)
