"""One run: train, evaluate, write the result file."""

import math
import time
from collections.abc import Collection

from pytorch_lightning import seed_everything
from torch import nn

from df_heads.benchmarks.harness.base.environment import describe_environment
from df_heads.benchmarks.harness.base.experiment import UNTRAINED, Experiment
from df_heads.benchmarks.harness.base.machine import Machine, is_first_process
from df_heads.benchmarks.harness.data.images import ImageData
from df_heads.benchmarks.harness.data.subsets import images_of, pretraining_images
from df_heads.benchmarks.harness.evaluate.evaluation import FinishedRun
from df_heads.benchmarks.harness.evaluate.standard import Standard
from df_heads.benchmarks.harness.store.results import ResultFolder
from df_heads.benchmarks.harness.store.schema import DataUsed, Parameters, RunResult, header
from df_heads.benchmarks.harness.train.models import untrained_backbone
from df_heads.benchmarks.harness.train.training import train
from df_heads.integrations.training.callbacks import TrainingCurve


def run(
    experiment: Experiment,
    data: ImageData,
    results: ResultFolder,
    machine: Machine,
    *,
    data_note: str = "",
    title: str = "",
    snapshot_epochs: Collection[int] = (),
) -> RunResult | None:
    """Train and evaluate one experiment and write its result file.

    Args:
        experiment: What to run.
        data: Its data set.
        results: Where the result, the checkpoint and the logs go.
        machine: What to run it on.
        data_note: What is particular about this copy of the data, kept with the result.
        title: Shown beside the progress bar.
        snapshot_epochs: Keep the weights after these epochs in the work folder, 0 for those before
            the first step; see snapshots.read_snapshot.

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
        backbone, curve, head_parameters = untrained_backbone(experiment), TrainingCurve(), 0
        outputs = None
    else:
        model, curve, outputs = train(
            experiment,
            pretraining,
            results,
            machine,
            title=title,
            snapshot_epochs=snapshot_epochs,
        )
        backbone, head_parameters = model.backbone, _parameters(model.projection_head)
    if not is_first_process():
        return None
    started = time.perf_counter()
    finished = FinishedRun(
        experiment, data, results, machine, data_note=data_note, backbone_at_hand=backbone
    )
    measured, _ = Standard().measure(finished)
    metrics = dict(measured)
    seconds = {
        "train": sum(row["seconds"] for row in curve.rows),
        "evaluate": time.perf_counter() - started,
    }
    if curve.rows:
        metrics["final_train_loss"] = curve.rows[-1]["train_loss"]
        if experiment.method == "simclr":
            # What all projections parallel give: each is as similar to its pair as to all others.
            metrics["collapse_loss"] = math.log(2 * experiment.batch_size - 1)
    result = RunResult(
        **header(experiment),
        data=DataUsed(
            name=data.name,
            note=data_note,
            fingerprint=data.fingerprint,
            train=len(pretraining.train_labels),
            test=len(data.test_labels),
            classes=len(data.classes),
        ),
        parameters=Parameters(
            backbone=_parameters(backbone),
            head=head_parameters,
        ),
        metrics=metrics,
        seconds=seconds,
        head_outputs=None if outputs is None else outputs.cause or "living",
        environment=describe_environment(machine.device.type, experiment.devices),
    )
    results.save(experiment, result, curve.rows)
    return result


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
