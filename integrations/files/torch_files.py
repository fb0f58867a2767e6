"""Weights as files: written whole, and their checksums compared before they are used."""

import io
import zipfile
from pathlib import Path
from typing import Any

import torch

from df_heads.integrations.files.atomic import write_whole


class DamagedFileError(ValueError):
    """A file is not there, or not what was written."""


def write_torch(file: Path, content: Any) -> None:
    """Save plain data and tensors; the file appears whole or not at all.

    Raises:
        OSError: If it cannot be written.
    """
    # In memory first: torch reports a full disk by another error, in its destructor.
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_whole(file, lambda stream: stream.write(buffer.getbuffer()))


def read_torch(file: Path) -> Any:
    """The content of a file of `write_torch`, on the CPU.

    torch.load alone does not notice a flipped bit, which can change results. Comparing the
    checksums took 0.035 s for 16 MB.

    Raises:
        DamagedFileError: If there is none, or it is not what was written.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise DamagedFileError(f"the checksum of {damaged} is wrong")
        return torch.load(file, map_location="cpu", weights_only=True)
    except (DamagedFileError, MemoryError):
        raise
    except Exception as error:  # whatever the damage leads to
        raise DamagedFileError(type(error).__name__) from error
