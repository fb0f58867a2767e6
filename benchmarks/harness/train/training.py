"""Training one run: checkpoints, resume, logs."""

import warnings
from collections.abc import Collection
from pathlib import Path
from typing import Any, cast

import torch
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger

from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.base.experiment import Experiment
from df_heads.benchmarks.harness.base.machine import Machine
from df_heads.benchmarks.harness.data.images import ImageData
from df_heads.benchmarks.harness.store.files import read_json, write_json
from df_heads.benchmarks.harness.store.results import ResultFolder
from df_heads.benchmarks.harness.train.callbacks import (
    RunProgress,
    StopOnBadLoss,
    TrainingCurve,
    TrainingDivergedError,
)
from df_heads.benchmarks.harness.train.models import build_model
from df_heads.benchmarks.harness.train.snapshots import Snapshots
from df_heads.benchmarks.harness.views.building import build_batches
from df_heads.integrations.method import Method

CHECKPOINT = "last.ckpt"
CHECKPOINTS_PER_RUN = 50


def train(
    experiment: Experiment,
    data: ImageData,
    results: ResultFolder,
    machine: Machine,
    *,
    title: str = "",
    snapshot_epochs: Collection[int] = (),
) -> tuple[Method, TrainingCurve]:
    """Train the model of an experiment, or go on where it was interrupted.

    Args:
        experiment: What to train.
        data: The images to train on, see subsets.pretraining_images.
        results: Where the checkpoint and the logs go.
        machine: What to train on.
        title: Shown beside the progress bar.
        snapshot_epochs: Keep the weights after these epochs in the work folder, 0 for those before
            the first step; see snapshots.read_snapshot.

    Returns:
        The trained model, and its loss over the epochs.

    Raises:
        InputError: If the experiment does not fit the data, or a checkpoint is damaged.
        TrainingDivergedError: If the loss is not finite any more; the last checkpoint is kept.
    """
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
