"""What to do when the training of a benchmark run goes wrong."""

import math
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer

from df_heads.integrations.training.finiteness import STEPS_BETWEEN_LOOKS


class TrainingDivergedError(RuntimeError):
    """The loss of a run is not finite any more."""


class StopOnBadLoss(Callback):
    """Stop a run whose loss is not finite, before a checkpoint of it can be written.

    Must come before the checkpoints, as Lightning sees to.
    """

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Look at the loss of this step."""
        last = batch_idx + 1 == trainer.num_training_batches
        if pl_module.device.type != "cpu" and batch_idx % STEPS_BETWEEN_LOOKS and not last:
            return
        loss = float(outputs["loss"])
        if not math.isfinite(loss):
            raise TrainingDivergedError(
                f"the loss became {loss} in epoch {trainer.current_epoch + 1}, step "
                f"{batch_idx + 1}; lower --learning-rate or raise --warmup-fraction"
            )
