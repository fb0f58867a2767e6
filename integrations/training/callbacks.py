"""Lightning callbacks that every training of ours has: seeds, curve and progress."""

import sys
import time
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import ProgressBar
from torch import Tensor
from tqdm.auto import tqdm

from df_heads.integrations.training.batches import NETWORK, seed_of_step
from df_heads.integrations.training.finiteness import STEPS_BETWEEN_LOOKS


class TrainingCurve(Callback):
    """Records each epoch's mean loss, last learning rate and seconds; survives a resume.

    Also one in the middle of an epoch, which Lightning's own mean does not: what is logged as
    train_loss_epoch is therefore this one.

    Attributes:
        rows: One dict per finished epoch.
    """

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []
        # Of the epoch that is not finished; the loss stays on its device until it is asked for.
        self._loss: Tensor | float = 0.0
        self._steps = 0
        self._seconds_before = 0.0
        self._started = time.perf_counter()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._started = time.perf_counter()

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Add the loss of this step."""
        self._loss = self._loss + outputs["loss"].detach().double()
        self._steps += 1

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Append this epoch."""
        mean = float(self._loss) / self._steps
        self.rows.append(
            {
                "epoch": trainer.current_epoch + 1,
                "train_loss": mean,
                "learning_rate": float(trainer.optimizers[0].param_groups[0]["lr"]),
                "seconds": self._seconds(),
            }
        )
        pl_module.log("train_loss_epoch", mean, on_step=False, on_epoch=True)
        self._loss, self._steps, self._seconds_before = 0.0, 0, 0.0
        self._started = time.perf_counter()

    def _seconds(self) -> float:
        return self._seconds_before + time.perf_counter() - self._started

    def state_dict(self) -> dict[str, Any]:
        """The rows and the unfinished epoch, for the checkpoint."""
        unfinished = {"loss": float(self._loss), "steps": self._steps, "seconds": self._seconds()}
        return {"rows": list(self.rows), "unfinished": unfinished if self._steps else None}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the rows of the interrupted run."""
        self.rows = list(state_dict["rows"])
        if (unfinished := state_dict["unfinished"]) is not None:
            self._loss, self._steps = unfinished["loss"], unfinished["steps"]
            self._seconds_before = unfinished["seconds"]


class SeedEachStep(Callback):
    """Seeds torch before each step, by the run's seed, the step and the process.

    What a network draws, as for dropout, then does not depend on whether the run was interrupted,
    and is another in each process.

    Args:
        seed: The run's.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Seed this step."""
        step, rank = trainer.global_step, trainer.global_rank
        torch.manual_seed(seed_of_step(self.seed, step, rank, NETWORK))


class RunProgress(ProgressBar):
    """One bar over the whole run: steps, epoch, loss, rate and the time left.

    Args:
        title: In front of the bar.
        only_on_terminals: Whether to show nothing where stderr is a pipe or a file.
    """

    def __init__(self, title: str, *, only_on_terminals: bool = False) -> None:
        super().__init__()
        self.title = title
        self.only_on_terminals = only_on_terminals
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
            disable=not self._enabled or (self.only_on_terminals and not terminal),
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
            epoch = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
            loss = f"loss {float(outputs['loss']):.3f}"
            self._bar.set_postfix_str(f"{epoch}, {loss}", refresh=False)
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
