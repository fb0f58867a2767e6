"""Training one run: checkpoints, resume, logs."""

import warnings
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple, cast

from pytorch_lightning import Trainer
from pytorch_lightning.loggers import TensorBoardLogger

from df_heads.benchmarks.harness.base.errors import InputError, LostProcessError
from df_heads.benchmarks.harness.base.experiment import Experiment
from df_heads.benchmarks.harness.base.machine import Machine, is_first_process
from df_heads.benchmarks.harness.data.images import ImageData
from df_heads.benchmarks.harness.store.files import read_json, write_json
from df_heads.benchmarks.harness.store.results import ResultFolder
from df_heads.benchmarks.harness.train.callbacks import StopOnBadLoss, TrainingDivergedError
from df_heads.benchmarks.harness.train.checkpoints import checkpoint_to_resume, owner_of
from df_heads.benchmarks.harness.train.lost_process import lost_process
from df_heads.benchmarks.harness.train.metrics_file import MetricsFile
from df_heads.benchmarks.harness.train.models import build_model
from df_heads.benchmarks.harness.train.snapshots import Snapshots
from df_heads.benchmarks.harness.views.building import build_batches
from df_heads.collapse import Collapse
from df_heads.integrations.callbacks.collapse_monitor import CollapseMonitor
from df_heads.integrations.files.atomic import remove_stale
from df_heads.integrations.files.checkpoint_files import (
    CHECKPOINT,
    PREVIOUS,
    CheckpointFiles,
)
from df_heads.integrations.method.base import Method
from df_heads.integrations.training.callbacks import RunProgress, SeedEachStep, TrainingCurve
from df_heads.integrations.training.checkpoints import Checkpoints
from df_heads.integrations.training.finiteness import NotFiniteError
from df_heads.integrations.training.interruption import postponed
from df_heads.integrations.training.quiet_lightning import quiet_lightning

CHECKPOINTS_PER_RUN = 50
METRICS = Path("csv", "metrics.csv")


class Trained(NamedTuple):
    """A trained model.

    Attributes:
        model: The model.
        curve: Its loss over the epochs.
        outputs: What its head's outputs were at the end; None if they could not be seen, as those
            of a compiled step.
    """

    model: Method
    curve: TrainingCurve
    outputs: Collapse | None


def train(
    experiment: Experiment,
    data: ImageData,
    results: ResultFolder,
    machine: Machine,
    *,
    title: str = "",
    snapshot_epochs: Collection[int] = (),
) -> Trained:
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
        What came of it.

    Raises:
        InputError: If the experiment does not fit the data, or a checkpoint is damaged.
        LostProcessError: If another process of the run is gone.
        TrainingDivergedError: If the loss or a weight is not finite any more; the last checkpoint
            is kept.
        Interrupted: If a signal asked to stop, after a checkpoint was written.
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
    checkpoint = _prepare(experiment, data.fingerprint, work_dir, machine)
    curve, monitor = TrainingCurve(), CollapseMonitor()
    log_every = max(1, min(50, len(data.train_labels) // experiment.batch_size))
    quiet_lightning()
    trainer = Trainer(
        max_epochs=experiment.epochs,
        accelerator=machine.accelerator,
        devices=experiment.devices,
        precision=cast(Any, experiment.precision),
        logger=machine.logger == "tensorboard"
        and TensorBoardLogger(work_dir, name="", version="tensorboard"),
        callbacks=[
            SeedEachStep(experiment.seed),
            StopOnBadLoss(),
            monitor,
            curve,
            Snapshots(work_dir, snapshot_epochs),
            *([RunProgress(title or experiment.name)] if machine.progress else []),
            *([MetricsFile(work_dir / METRICS, log_every)] if machine.logger == "csv" else []),
            Checkpoints(
                work_dir,
                owner_of(experiment, data.fingerprint),
                every_n_epochs=max(1, experiment.epochs // CHECKPOINTS_PER_RUN),
                minutes=machine.checkpoint_minutes,
            ),
        ],
        plugins=[CheckpointFiles()],
        enable_progress_bar=machine.progress,
        enable_model_summary=False,
        log_every_n_steps=log_every,
    )
    batches = build_batches(experiment, data, machine.workers)
    with postponed(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        # Ours does, by OrderOfRun.
        warnings.filterwarnings("ignore", message=".*your dataloader is not resumable.*")
        try:
            trainer.fit(model, batches, ckpt_path=checkpoint)
        except SystemExit:  # what Lightning makes of Ctrl+C
            if trainer.interrupted:
                raise KeyboardInterrupt from None
            raise
        except RuntimeError as error:
            if experiment.devices > 1 and (lost := lost_process(error)) is not None:
                raise LostProcessError(f"{experiment.name}: {lost}") from error
            if not isinstance(error, TrainingDivergedError | NotFiniteError):
                raise
            kept = f"; the last good checkpoint is {work_dir / CHECKPOINT}"
            has_one = (work_dir / CHECKPOINT).exists()
            raise TrainingDivergedError(
                f"{experiment.name}: {error}{kept if has_one else ''}"
            ) from error
        # The last epoch need not be one of those that are saved; evaluation may be interrupted.
        trainer.save_checkpoint(work_dir / CHECKPOINT)
    if trainer.is_global_zero:
        (work_dir / PREVIOUS).unlink(missing_ok=True)
    return Trained(model, curve, next(iter(monitor.last.values()), None))


def _prepare(
    experiment: Experiment, fingerprint: str, work_dir: Path, machine: Machine
) -> Path | None:
    """Make the work folder, or find the checkpoint in it to go on from."""
    config = work_dir / "experiment.json"
    if config.exists() and not experiment.matches(read_json(config)):
        raise InputError(f"{work_dir} holds another config; choose another --out-dir.")
    if is_first_process():
        remove_stale(work_dir, all_of_them=True)
    checkpoint = None
    if machine.resume:
        checkpoint = checkpoint_to_resume(experiment, fingerprint, work_dir)
    if checkpoint is None:
        work_dir.mkdir(parents=True, exist_ok=True)
        write_json(config, experiment.config())
    return checkpoint
