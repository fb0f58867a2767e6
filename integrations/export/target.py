"""What every kind of exported file has in common."""

from abc import ABC, abstractmethod
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

from df_heads.integrations.errors import InputError
from df_heads.integrations.export.trained import Trained


class Target(ABC):
    """One kind of file.

    Attributes:
        name: What --to takes.
        file_name: Of the file, where none is named.
        library: What a model card names as the library that loads it.
        packages: What it takes to write and to load the file, by the name to import; pip's names
            are the same.
    """

    name: ClassVar[str]
    file_name: ClassVar[str]
    library: ClassVar[str]
    packages: ClassVar[tuple[str, ...]] = ()

    def check(self, trained: Trained) -> None:
        """Check that this backbone can become such a file here.

        Raises:
            InputError: If not.
        """
        missing = [package for package in self.packages if find_spec(package) is None]
        if missing:
            raise InputError(
                f"--to {self.name} needs {' and '.join(missing)}: pip install {' '.join(missing)}"
            )

    @abstractmethod
    def write(self, trained: Trained, file: Path) -> None:
        """Write the file, whole or not at all."""

    @abstractmethod
    def how_to_load(self, trained: Trained, file: str) -> str:
        """Python code that loads the file without df-heads.

        It defines `model`, from normalised images (N, 3, S, S) to features (N, D).
        """

    def files_beside(self, trained: Trained) -> dict[str, bytes]:
        """What else belongs into the folder, by name."""
        return {}
