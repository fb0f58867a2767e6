"""Checkpoints as files: whole, checked, the last two kept."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.plugins import TorchCheckpointIO

from df_heads.integrations.errors import InputError
from df_heads.integrations.files.torch_files import (
    DamagedFileError,
    read_torch,
    write_torch,
)

CHECKPOINT, PREVIOUS = "last.ckpt", "previous.ckpt"
#: A whole checkpoint on its way to becoming the last one.
_NEW = "new.ckpt"


class CheckpointFiles(TorchCheckpointIO):
    """How Lightning writes and reads a run's checkpoints.

    Lightning's own way writes to TMPDIR and copies, which on two file systems leaves half a file
    when it is killed or the disk is full.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None
    ) -> None:
        """Write the file, and keep the one that it replaces as the previous one.

        Raises:
            InputError: If it cannot be written; the earlier ones are as they were.
        """
        file = Path(path)
        new = file.with_name(_NEW)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_torch(new, checkpoint)
            if file.exists():
                file.replace(file.with_name(PREVIOUS))
            new.replace(file)
        except OSError as error:
            raise InputError(
                f"checkpoint {file} cannot be written ({error.strerror or error}); make room or "
                "choose another output folder. The same command goes on from the checkpoint before."
            ) from error

    def load_checkpoint(
        self, path: Any, map_location: Any = None, weights_only: bool | None = True
    ) -> dict[str, Any]:
        """Read a file, see `read_checkpoint`."""
        return read_checkpoint(Path(path))


def read_checkpoint(file: Path) -> dict[str, Any]:
    """The content of a checkpoint, on the CPU.

    Raises:
        DamagedFileError: If it is missing, damaged, or no checkpoint.
    """
    content = read_torch(file)
    if not isinstance(content, Mapping) or not isinstance(content.get("state_dict"), Mapping):
        raise DamagedFileError("it holds no weights")
    return dict(content)


def existing_checkpoints(folder: Path) -> list[Path]:
    """The run's checkpoints, the newest first."""
    return [file for name in (_NEW, CHECKPOINT, PREVIOUS) if (file := folder / name).exists()]
