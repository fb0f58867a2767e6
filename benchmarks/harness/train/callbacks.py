"""Lightning callbacks of a benchmark run: progress, curve, and what to do when it goes wrong."""

import math
import sys
import time
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import ProgressBar
from tqdm.auto import tqdm

# On a GPU reading the loss waits for the device, so it is looked at now and then.
STEPS_BETWEEN_LOOKS = 50


class TrainingDivergedError(RuntimeError):
    """The loss of a run is not finite any more."""


class StopOnBadLoss(Callback):
    """Stop a run whose loss is not finite, before a checkpoint of it can be written.

    Must come before the ModelCheckpoint, as Lightning sees to.
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


class TrainingCurve(Callback):
    """Records each epoch's mean loss, last learning rate and seconds; survives a resume.

    Attributes:
        rows: One dict per finished epoch.
    """

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []
        self._started = 0.0

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._started = time.perf_counter()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Append this epoch."""
        self.rows.append(
            {
                "epoch": trainer.current_epoch + 1,
                "train_loss": float(trainer.callback_metrics["train_loss_epoch"]),
                "learning_rate": float(trainer.optimizers[0].param_groups[0]["lr"]),
                "seconds": time.perf_counter() - self._started,
            }
        )

    def state_dict(self) -> dict[str, Any]:
        """The rows, for the checkpoint."""
        return {"rows": list(self.rows)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the rows of the interrupted run."""
        self.rows = list(state_dict["rows"])


class RunProgress(ProgressBar):
    """One bar over the whole run: steps, loss and the time left."""

    def __init__(self, title: str) -> None:
        super().__init__()
        self.title = title
        self._enabled = True
        self._bar: tqdm[Any] | None = None

    def disable(self) -> None:
        """Lightning calls this on all processes but the first."""
        self._enabled = False

    def enable(self) -> None:
        """The opposite of disable."""
        self._enabled = True

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the bar where the run, perhaps a resumed one, starts."""
        terminal = sys.stderr.isatty()
        self._bar = tqdm(
            desc=self.title,
            total=int(trainer.estimated_stepping_batches),
            initial=trainer.global_step,
            unit="step",
            disable=not self._enabled,
            mininterval=0.5 if terminal else 30.0,
            dynamic_ncols=terminal,
        )

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Move on, and show the loss now and then."""
        assert self._bar is not None
        if pl_module.device.type == "cpu" or batch_idx % STEPS_BETWEEN_LOOKS == 0:
            self._bar.set_postfix_str(f"loss {float(outputs['loss']):.3f}", refresh=False)
        self._bar.update()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Close the bar."""
        self._close()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Close the bar, so that the message stands on a line of its own."""
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
