"""When a run's checkpoints are written."""

import time
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint

from df_heads.integrations.files.checkpoint_files import CHECKPOINT
from df_heads.integrations.training import interruption
from df_heads.integrations.training.finiteness import STEPS_BETWEEN_LOOKS, NotFiniteError
from df_heads.integrations.training.interruption import Interrupted

#: The key in a checkpoint under which it says what it belongs to.
OWNER = "df_heads"


class Checkpoints(Checkpoint):
    """Writes a checkpoint every so many epochs, every so many minutes, and when asked to stop.

    Args:
        folder: Where.
        owner: What the checkpoints belong to; plain data.
        every_n_epochs: Epochs from one to the next.
        minutes: Minutes from one to the next, if that comes first; also in the middle of an epoch.
    """

    def __init__(
        self, folder: Path, owner: dict[str, Any], *, every_n_epochs: int, minutes: float
    ) -> None:
        self.file = folder / CHECKPOINT
        self.owner = owner
        self.every_n_epochs = every_n_epochs
        self.minutes = minutes
        self._written = time.monotonic()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock.

        And take SIGTERM and Slurm's SIGUSR1 back from Lightning, whose handlers write elsewhere.
        """
        if interruption.listening():
            interruption.listen()
        self._written = time.monotonic()

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Write one if it is time, and stop if asked to."""
        if batch_idx + 1 == trainer.num_training_batches:
            return  # the end of the epoch follows
        if trainer.world_size > 1 and batch_idx % STEPS_BETWEEN_LOOKS:
            return  # agreeing takes a message to all processes
        self._look(trainer, pl_module, due=False)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write one if this epoch is to have one or it is time, and stop if asked to."""
        due = (trainer.current_epoch + 1) % self.every_n_epochs == 0
        self._look(trainer, pl_module, due=due)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Say what it belongs to."""
        checkpoint[OWNER] = self.owner

    def _look(self, trainer: Trainer, module: LightningModule, *, due: bool) -> None:
        signum = interruption.received()
        late = time.monotonic() - self._written >= 60 * self.minutes

        def any_process(decision: bool) -> bool:
            return bool(trainer.strategy.reduce_boolean_decision(decision, all=False))

        stop = any_process(signum is not None)
        if stop or due or any_process(late):
            bad = _not_finite(module)
            if any_process(bad is not None):
                raise NotFiniteError(
                    f"{bad or 'the network'} is not finite any more after step "
                    f"{trainer.global_step}; lower the learning rate or raise warmup_fraction"
                )
            trainer.save_checkpoint(self.file)
            self._written = time.monotonic()
        if stop:
            raise Interrupted(signum or interruption.SIGNALS[0])


def _not_finite(module: LightningModule) -> str | None:
    """A weight or buffer that is not finite, so that no good checkpoint is replaced by it."""
    numbers = {n: v for n, v in module.state_dict().items() if v.is_floating_point()}
    finite = torch.stack([value.isfinite().all() for value in numbers.values()]).tolist()
    return None if all(finite) else list(numbers)[finite.index(False)]
