"""One run: train, checkpoint, resume, evaluate."""

import math
import time
import warnings
from collections.abc import Collection
from pathlib import Path
from typing import Any, cast

import torch
from pytorch_lightning import Trainer, seed_everything
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger
from torch import nn

from df_heads.benchmarks.harness.callbacks import (
    RunProgress,
    StopOnBadLoss,
    TrainingCurve,
    TrainingDivergedError,
)
from df_heads.benchmarks.harness.compiled_step import CompiledSimCLR
from df_heads.benchmarks.harness.environment import describe_environment
from df_heads.benchmarks.harness.errors import InputError
from df_heads.benchmarks.harness.experiment import UNTRAINED, Experiment
from df_heads.benchmarks.harness.images import ImageData
from df_heads.benchmarks.harness.indexed_images import DeviceImages
from df_heads.benchmarks.harness.machine import Machine, is_first_process
from df_heads.benchmarks.harness.methods import build_model
from df_heads.benchmarks.harness.results import ResultFolder, read_json, write_json
from df_heads.benchmarks.harness.scoring import evaluate
from df_heads.benchmarks.harness.snapshots import Snapshots
from df_heads.benchmarks.harness.subsets import images_of, pretraining_images
from df_heads.benchmarks.harness.views import build_augment, build_batches
from df_heads.integrations.backbones import Stem, build_backbone
from df_heads.integrations.method import Method

CHECKPOINT = "last.ckpt"
CHECKPOINTS_PER_RUN = 50


def run(
    experiment: Experiment,
    data: ImageData,
    results: ResultFolder,
    machine: Machine,
    *,
    data_note: str = "",
    title: str = "",
    snapshot_epochs: Collection[int] = (),
) -> dict[str, Any] | None:
    """Train and evaluate one experiment and write its result file.

    Args:
        experiment: What to run.
        data: Its data set.
        results: Where the result, the checkpoint and the logs go.
        machine: What to run it on.
        data_note: What is particular about this copy of the data, kept with the result.
        title: Shown beside the progress bar.
        snapshot_epochs: Keep the weights after these epochs in the work folder, 0 for those before
            the first step; see snapshots.read_snapshot and
            methods.build_model.

    Returns:
        The content of the result file; None on all processes but the first.

    Raises:
        InputError: If the experiment does not fit the data, or a checkpoint is damaged.
        TrainingDivergedError: If the loss is not finite any more; the last checkpoint is kept.
    """
    data = images_of(experiment, data)
    pretraining = pretraining_images(experiment, data)
    seed_everything(experiment.seed, verbose=False)
    if experiment.head == UNTRAINED:
        backbone, curve, head_parameters = _backbone(experiment), TrainingCurve(), 0
    else:
        model, curve = _train(experiment, pretraining, results, machine, title, snapshot_epochs)
        backbone, head_parameters = model.backbone, _parameters(model.projection_head)
    if not is_first_process():
        return None
    started = time.perf_counter()
    metrics = evaluate(backbone, data, build_augment(experiment), experiment.seed, machine.device)
    seconds = {
        "train": sum(row["seconds"] for row in curve.rows),
        "evaluate": time.perf_counter() - started,
    }
    if curve.rows:
        metrics["final_train_loss"] = curve.rows[-1]["train_loss"]
        if experiment.method == "simclr":
            # What all projections parallel give: each is as similar to its pair as to all others.
            metrics["collapse_loss"] = math.log(2 * experiment.batch_size - 1)
    content = {
        "data": {
            "name": data.name,
            "note": data_note,
            "fingerprint": data.fingerprint,
            "train": len(pretraining.train_labels),
            "test": len(data.test_labels),
            "classes": len(data.classes),
        },
        "parameters": {"backbone": _parameters(backbone), "head": head_parameters},
        "metrics": metrics,
        "seconds": seconds,
        "environment": describe_environment(machine.device.type, experiment.devices),
    }
    results.save(experiment, content, curve.rows)
    return content


def _train(
    experiment: Experiment,
    data: ImageData,
    results: ResultFolder,
    machine: Machine,
    title: str,
    snapshot_epochs: Collection[int],
) -> tuple[Method, TrainingCurve]:
    per_device = experiment.batch_size // experiment.devices
    if per_device < 2 or experiment.batch_size % experiment.devices:
        raise InputError(
            f"batch_size={experiment.batch_size} cannot be divided among {experiment.devices} "
            "devices with at least 2 images each; change --batch-size or --devices."
        )
    if experiment.batch_size > len(data.train_labels):
        raise InputError(
            f"batch_size={experiment.batch_size} is more than the {len(data.train_labels)} "
            f"training images of {data.name}; use a smaller --batch-size."
        )
    if experiment.precision == "16-mixed" and machine.device.type == "cpu":
        raise InputError("--precision 16-mixed needs a GPU; use bf16-mixed or 32-true on a CPU.")
    model = build_model(experiment)
    work_dir = results.work_dir(experiment)
    checkpoint = _checkpoint_to_resume(experiment, work_dir, machine)
    curve = TrainingCurve()
    trainer = Trainer(
        max_epochs=experiment.epochs,
        accelerator=machine.accelerator,
        devices=experiment.devices,
        precision=cast(Any, experiment.precision),
        logger=_logger(machine.logger, work_dir),
        callbacks=[
            StopOnBadLoss(),
            curve,
            Snapshots(work_dir, snapshot_epochs),
            *([RunProgress(title or experiment.name)] if machine.progress else []),
            ModelCheckpoint(
                dirpath=work_dir,
                filename=Path(CHECKPOINT).stem,
                every_n_epochs=max(1, experiment.epochs // CHECKPOINTS_PER_RUN),
                save_on_train_epoch_end=True,
                enable_version_counter=False,
            ),
        ],
        enable_progress_bar=machine.progress,
        enable_model_summary=False,
        log_every_n_steps=max(1, min(50, len(data.train_labels) // experiment.batch_size)),
    )
    batches = build_batches(experiment, data, machine.workers)
    if isinstance(model, CompiledSimCLR):
        model.take_images(DeviceImages(data.train_images, build_augment(experiment)))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")
        try:
            trainer.fit(model, batches, ckpt_path=checkpoint, weights_only=True)
        except SystemExit:  # what Lightning makes of Ctrl+C
            if trainer.interrupted:
                raise KeyboardInterrupt from None
            raise
        except TrainingDivergedError as error:
            kept = f"; the last good checkpoint is {work_dir / CHECKPOINT}"
            has_one = (work_dir / CHECKPOINT).exists()
            raise TrainingDivergedError(
                f"{experiment.name}: {error}{kept if has_one else ''}"
            ) from error
    # The last epoch need not be one of those that are saved; an interrupted evaluation needs it.
    trainer.save_checkpoint(work_dir / CHECKPOINT)
    return model, curve


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
    checkpoint, config = work_dir / CHECKPOINT, work_dir / "experiment.json"
    if config.exists() and not experiment.matches(read_json(config)):
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


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
