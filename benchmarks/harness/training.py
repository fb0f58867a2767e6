"""One run: train, checkpoint, resume, evaluate."""

import logging
import math
import time
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from pytorch_lightning import Trainer, seed_everything
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger
from torch import nn

from df_heads.benchmarks.harness.augment import SimCLRAugment
from df_heads.benchmarks.harness.callbacks import (
    RunProgress,
    StopOnBadLoss,
    TrainingCurve,
    TrainingDivergedError,
)
from df_heads.benchmarks.harness.environment import describe_environment
from df_heads.benchmarks.harness.errors import InputError
from df_heads.benchmarks.harness.experiment import UNTRAINED, Experiment
from df_heads.benchmarks.harness.images import DATASETS, ImageData
from df_heads.benchmarks.harness.loading import TwoViews, evaluation_batches
from df_heads.benchmarks.harness.results import ResultFolder, read_json, write_json
from df_heads.evaluation import (
    extract_features,
    knn_accuracy,
    linear_probe_accuracy,
    nearest_neighbor_accuracy,
    stratified_subset,
)
from df_heads.integrations.backbones import Stem, build_backbone
from df_heads.integrations.method import Views
from df_heads.integrations.simclr import SimCLR

PROBE_FRACTION = 0.1  # paper, "Metrics"
KNN_NEIGHBORS = 10
CHECKPOINTS_PER_RUN = 50


@dataclass(frozen=True)
class Machine:
    """What a run uses and its numbers do not depend on.

    Attributes:
        accelerator: "auto", "cpu" or "gpu", as in Lightning's Trainer.
        devices: Number of devices; the batch is divided among them.
        workers: Processes that gather batches.
        logger: "csv", "tensorboard" or "none".
        progress: Whether to show a progress bar.
        resume: Whether to go on from the checkpoint of an interrupted run.
    """

    accelerator: str = "auto"
    devices: int = 1
    workers: int = 0
    logger: str = "csv"
    progress: bool = True
    resume: bool = True

    @property
    def device(self) -> torch.device:
        """Where evaluation runs."""
        if self.accelerator == "cpu" or not torch.cuda.is_available():
            return torch.device("cpu")
        return torch.device("cuda")

    def check(self) -> None:
        """Raise InputError if this machine does not have what is asked for."""
        if self.devices < 1:
            raise InputError(f"--devices {self.devices} must be at least 1.")
        if self.accelerator == "gpu" and not torch.cuda.is_available():
            raise InputError("--accelerator gpu: torch finds no GPU here; use cpu or auto.")
        found = torch.cuda.device_count()
        if self.device.type == "cuda" and self.devices > found:
            raise InputError(f"--devices {self.devices} is more than the {found} GPUs found here.")


def run(
    experiment: Experiment,
    data: ImageData,
    results: ResultFolder,
    machine: Machine,
    *,
    data_note: str = "",
    title: str = "",
) -> dict[str, Any] | None:
    """Train and evaluate one experiment and write its result file.

    Args:
        experiment: What to run.
        data: Its data set.
        results: Where the result, the checkpoint and the logs go.
        machine: What to run it on.
        data_note: What is particular about this copy of the data, kept with the result.
        title: Shown beside the progress bar.

    Returns:
        The content of the result file; None on all processes but the first.

    Raises:
        InputError: If the experiment does not fit the data, or a checkpoint is damaged.
        TrainingDivergedError: If the loss is not finite any more; the last checkpoint is kept.
    """
    if experiment.train_images is not None:
        data = _first_images(data, experiment.train_images)
    augment = SimCLRAugment(
        experiment.image_size,
        min_scale=experiment.min_scale,
        hf_prob=0.5 if DATASETS[experiment.dataset].horizontal_flip else 0.0,
        rr_prob=0.5 if experiment.rotation else 0.0,
        rr_degrees=experiment.rotation,
        cj_strength=experiment.color_jitter,
        gaussian_blur=experiment.gaussian_blur,
    )
    seed_everything(experiment.seed, verbose=False)
    if experiment.head == UNTRAINED:
        backbone, curve, head_parameters, is_first = _backbone(experiment), TrainingCurve(), 0, True
    else:
        model, curve, is_first = _train(experiment, data, augment, results, machine, title)
        backbone, head_parameters = model.backbone, _parameters(model.projection_head)
    if not is_first:
        return None
    started = time.perf_counter()
    metrics = evaluate(backbone, data, augment, experiment.seed, machine.device)
    seconds = {
        "train": sum(row["seconds"] for row in curve.rows),
        "evaluate": time.perf_counter() - started,
    }
    if curve.rows:
        metrics["final_train_loss"] = curve.rows[-1]["train_loss"]
        # What all projections parallel give: each is as similar to its pair as to all others.
        metrics["collapse_loss"] = math.log(2 * experiment.batch_size - 1)
    content = {
        "data": {
            "name": data.name,
            "note": data_note,
            "fingerprint": data.fingerprint,
            "train": len(data.train_labels),
            "test": len(data.test_labels),
            "classes": len(data.classes),
        },
        "parameters": {"backbone": _parameters(backbone), "head": head_parameters},
        "metrics": metrics,
        "seconds": seconds,
        "environment": describe_environment(machine.device.type, machine.devices),
    }
    results.save(experiment, content, curve.rows)
    return content


def evaluate(
    backbone: nn.Module, data: ImageData, augment: SimCLRAugment, seed: int, device: torch.device
) -> dict[str, float]:
    """The paper's two metrics and cosine k-NN of frozen backbone features, in percent.

    "unsupervised" and "supervised" are the paper's; the probe draws its 10 % of the training set
    by `seed`. "knn10_cosine" votes among the 10 nearest training images.
    """
    backbone = backbone.to(device)
    train, test = (
        extract_features(backbone, evaluation_batches(images, augment), device=device)
        for images in (data.train_images, data.test_images)
    )
    train_labels = torch.from_numpy(data.train_labels)
    test_labels = torch.from_numpy(data.test_labels)
    return {
        "unsupervised": 100 * nearest_neighbor_accuracy(test, test_labels),
        "supervised": 100
        * linear_probe_accuracy(
            train, train_labels, test, test_labels, train_fraction=PROBE_FRACTION, seed=seed
        ),
        "knn10_cosine": 100
        * knn_accuracy(
            train, train_labels, test, test_labels, k=min(KNN_NEIGHBORS, len(train_labels))
        ),
    }


def _train(
    experiment: Experiment,
    data: ImageData,
    augment: SimCLRAugment,
    results: ResultFolder,
    machine: Machine,
    title: str,
) -> tuple[SimCLR, TrainingCurve, bool]:
    per_device = experiment.batch_size // machine.devices
    if per_device < 2 or experiment.batch_size % machine.devices:
        raise InputError(
            f"batch_size={experiment.batch_size} cannot be divided among {machine.devices} devices "
            "with at least 2 images each; change --batch-size or --devices."
        )
    if experiment.batch_size > len(data.train_labels):
        raise InputError(
            f"batch_size={experiment.batch_size} is more than the {len(data.train_labels)} "
            f"training images of {data.name}; use a smaller --batch-size."
        )
    model = _model(experiment, machine)
    work_dir = results.work_dir(experiment)
    checkpoint = _checkpoint_to_resume(experiment, work_dir, machine)
    curve = TrainingCurve()
    trainer = Trainer(
        max_epochs=experiment.epochs,
        accelerator=machine.accelerator,
        devices=machine.devices,
        precision=cast(Any, experiment.precision),
        logger=_logger(machine.logger, work_dir),
        callbacks=[
            StopOnBadLoss(),
            curve,
            *([RunProgress(title or experiment.name)] if machine.progress else []),
            ModelCheckpoint(
                dirpath=work_dir,
                filename="last",
                every_n_epochs=max(1, experiment.epochs // CHECKPOINTS_PER_RUN),
                save_on_train_epoch_end=True,
                enable_version_counter=False,
            ),
        ],
        enable_progress_bar=machine.progress,
        enable_model_summary=False,
        log_every_n_steps=max(1, min(50, len(data.train_labels) // experiment.batch_size)),
    )
    loader = TwoViews(
        data.train_images,
        data.train_labels,
        augment,
        batch_size=per_device,
        workers=machine.workers,
        seed=experiment.seed,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")
        try:
            trainer.fit(model, loader, ckpt_path=checkpoint, weights_only=True)
        except TrainingDivergedError as error:
            kept = f"; the last good checkpoint is {work_dir / 'last.ckpt'}"
            has_one = (work_dir / "last.ckpt").exists()
            raise TrainingDivergedError(
                f"{experiment.name}: {error}{kept if has_one else ''}"
            ) from error
    if trainer.interrupted:
        raise KeyboardInterrupt
    return model, curve, trainer.is_global_zero


def _model(experiment: Experiment, machine: Machine) -> SimCLR:
    try:
        return SimCLR(
            experiment.backbone,
            experiment.head,
            cast(Views, experiment.views),
            stem=cast(Stem, experiment.stem),
            image_size=experiment.image_size,
            temperature=experiment.temperature,
            gather_distributed=machine.devices > 1,
            learning_rate=experiment.learning_rate,
            momentum=experiment.momentum,
            weight_decay=experiment.weight_decay,
            warmup_fraction=experiment.warmup_fraction,
            gradient_clip=experiment.gradient_clip,
        )
    except ValueError as error:
        raise InputError(str(error)) from error


def _backbone(experiment: Experiment) -> nn.Module:
    try:
        return build_backbone(
            experiment.backbone,
            stem=cast(Stem, experiment.stem),
            image_size=experiment.image_size,
        )
    except ValueError as error:
        raise InputError(str(error)) from error


def _checkpoint_to_resume(experiment: Experiment, work_dir: Path, machine: Machine) -> Path | None:
    """The checkpoint of this very experiment, if it was begun; else a new work folder."""
    checkpoint, config = work_dir / "last.ckpt", work_dir / "experiment.json"
    if config.exists() and read_json(config) != experiment.config():
        raise InputError(f"{work_dir} holds another config; choose another --out-dir.")
    if not checkpoint.exists() or not machine.resume:
        work_dir.mkdir(parents=True, exist_ok=True)
        write_json(config, experiment.config())
        return None
    try:
        torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # torch.load raises whatever the damage leads to
        raise InputError(
            f"checkpoint {checkpoint} is damaged ({type(error).__name__}); delete it to start this "
            "run again, or use --no-resume."
        ) from error
    return checkpoint


def _logger(kind: str, work_dir: Path) -> Logger | bool:
    if kind == "tensorboard":
        return TensorBoardLogger(work_dir, name="", version="tensorboard")
    if kind == "csv":
        return CSVLogger(work_dir, name="", version="csv")
    return False


def _first_images(data: ImageData, count: int) -> ImageData:
    """The data set with `count` training images, equally many of each class."""
    if count > len(data.train_labels):
        raise InputError(
            f"--train-images {count} is more than the {len(data.train_labels)} of {data.name}."
        )
    fraction = count / len(data.train_labels)
    rows = stratified_subset(torch.from_numpy(data.train_labels), fraction, 0).numpy()
    return replace(data, train_images=data.train_images[rows], train_labels=data.train_labels[rows])


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def quiet_lightning() -> None:
    """Keep Lightning's banners and tips off the terminal; its warnings stay."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
