"""The weights of a model at chosen epochs."""

from collections.abc import Collection
from pathlib import Path
from typing import cast

from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.integrations.files.torch_files import (
    DamagedFileError,
    read_torch,
    write_torch,
)


class Snapshots(Callback):
    """Writes the weights after the chosen epochs, 0 being before the first step.

    Args:
        folder: Where `snapshot_file` finds them again.
        epochs: Which.
    """

    def __init__(self, folder: Path, epochs: Collection[int]) -> None:
        self.folder = folder
        self.epochs = epochs

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the untrained weights, unless a resumed run did so before."""
        if trainer.global_step == 0:
            self._write(0, trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the weights if this epoch was chosen."""
        self._write(trainer.current_epoch + 1, trainer, pl_module)

    def _write(self, epoch: int, trainer: Trainer, module: LightningModule) -> None:
        if epoch not in self.epochs or not trainer.is_global_zero:
            return
        write_torch(snapshot_file(self.folder, epoch), module.state_dict())


def snapshot_file(folder: Path, epoch: int) -> Path:
    """Where the weights after an epoch are, or will be."""
    return folder / f"epoch-{epoch:04d}.pt"


def read_snapshot(folder: Path, epoch: int) -> dict[str, Tensor]:
    """The weights after an epoch, on the CPU.

    Raises:
        InputError: If the file is missing or damaged.
    """
    file = snapshot_file(folder, epoch)
    try:
        state = read_torch(file)
    except DamagedFileError as error:
        raise InputError(
            f"the weights {file} cannot be read ({error}); delete the folder "
            f"{folder} and the run's result file to train again."
        ) from error
    return cast(dict[str, Tensor], state)
