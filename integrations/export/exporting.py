"""Exporting the backbone of a run: write, load again, compare, and describe."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from df_heads.integrations.errors import InputError
from df_heads.integrations.export.model_card import CARD, MARK, model_card
from df_heads.integrations.export.target import Target
from df_heads.integrations.export.targets import TARGETS
from df_heads.integrations.export.trained import Trained
from df_heads.integrations.files.atomic import write_whole
from df_heads.integrations.runs import Run, read_run

#: The most that a feature may differ after loading, over the largest feature.
TOLERANCE = 1e-5


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        file: The file.
        how_to_load: Python code that loads it without df-heads.
        difference: Between the features of the loaded file and of the trained backbone, at most,
            over the largest feature.
        beside: The other files: the model card, and what the target adds.
        has_small_stem: Whether the code has to put in a stem that the library has no argument for.
    """

    file: Path
    how_to_load: str
    difference: float
    beside: list[Path]
    has_small_stem: bool


def export_backbone(run: Run | Path | str, to: str, out: Path | str | None = None) -> Exported:
    """Write the trained backbone of a run to a file that loads without df-heads.

    The file is loaded again as its model card says and gives equal features, or an error is
    raised.

    Args:
        run: A finished run, or its folder.
        to: A name of TARGETS: "timm", "torchvision", "onnx", "torch-export" or "safetensors".
        out: The file; None for RUN/export/<to>/ and the target's usual name. A model card,
            README.md, is put beside it.

    Raises:
        InputError: If there is no finished run, no such target, a package is missing, the
            architecture has no place in the target, or files that are not of an export would be
            replaced.
        OSError: If it cannot be written.
    """
    if to not in TARGETS:
        raise InputError(f"--to {to} is not known; choose one of {', '.join(TARGETS)}.")
    target = TARGETS[to]
    run = run if isinstance(run, Run) else read_run(run)
    file = run.path / "export" / to / target.file_name if out is None else Path(out).expanduser()
    if file.is_dir():
        raise InputError(f"{file} is a folder; name the file, such as {file / target.file_name}.")
    trained = Trained.of_run(run)
    target.check(trained)
    beside = target.files_beside(trained)
    _refuse_strangers(file.parent, [file.name, CARD, *beside])
    file.parent.mkdir(parents=True, exist_ok=True)
    target.write(trained, file)
    difference = _check(trained, target, file)
    beside[CARD] = model_card(trained, target, file.name, difference).encode()
    for name, content in beside.items():
        write_whole(file.parent / name, partial(_write, content))
    return Exported(
        file=file,
        how_to_load=target.how_to_load(trained, str(file)),
        difference=difference,
        beside=[file.parent / name for name in beside],
        has_small_stem=trained.has_small_stem,
    )


def _write(content: bytes, stream: BinaryIO) -> None:
    stream.write(content)


def _refuse_strangers(folder: Path, names: list[str]) -> None:
    """Check that what would be replaced is of an earlier export."""
    card = folder / CARD
    is_ours = card.is_file() and MARK in card.read_text(encoding="utf-8", errors="replace")
    taken = [name for name in names if (folder / name).exists()]
    if taken and not is_ours:
        raise InputError(
            f"{folder} holds a {taken[0]} that is not of an export and would be replaced; name a "
            "file in a folder of its own."
        )


@torch.no_grad()
def _check(trained: Trained, target: Target, file: Path) -> float:
    """Load the file as the card says, and compare features."""
    images = trained.example_images()
    # Of one image, too: a fixed batch size would show.
    difference = max(_difference(trained, target, file, images[:n]) for n in (1, len(images)))
    if not difference <= TOLERANCE:
        raise RuntimeError(
            f"{file} gives other features than the trained backbone: they differ by "
            f"{difference:.2g} of the largest, more than {TOLERANCE:g}."
        )
    return difference


def _difference(trained: Trained, target: Target, file: Path, images: Tensor) -> float:
    names: dict[str, Any] = {}
    exec(target.how_to_load(trained, str(file)), names)
    expected = trained.features(images)
    found = names["model"](images).flatten(start_dim=1)
    return float((found - expected).abs().max() / expected.abs().max())
