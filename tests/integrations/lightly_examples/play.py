"""Plays one of lightly's example scripts with or without our head, and prints what happened.

    python play.py EXAMPLE.py lightly 20
    python play.py EXAMPLE.py df-heads 20

The script is run as it is, from its own source. What differs is around it: scikit-learn's digits
stand for the data set that it would download, a Trainer gets one CPU process and writes nothing,
and it stops after the given number of steps. Scripts with images of 224 x 224 get batches of 8: a
step would take minutes on a CPU. With "df-heads", `replace_projection_head(model)` is called right
after the line that makes the model.

The last line printed is JSON: "losses", one of each step, "replaced", the paths of the heads, and
"refused", the sentence of the ValueError if there is nothing to replace.
"""

import ast
import contextlib
import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
import torchvision
from PIL import Image
from sklearn.datasets import load_digits
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from df_heads.integrations.lightly import replace_projection_head

#: Images of the stand-in, a few batches of 256.
IMAGES = 2048
SMALL_BATCH = 8


class EnoughError(Exception):
    """Raised out of the last step."""


class RefusedError(Exception):
    """Raised out of the script where the swap was refused."""


class Digits(Dataset[Any]):
    """Digits as pictures, in the place of torchvision's CIFAR10 and VOCDetection."""

    def __init__(self, root: str, *, transform: Any, **_: Any) -> None:
        digits = load_digits()
        self.pixels = (digits.images * 15.9375).astype(np.uint8)
        self.labels = digits.target
        self.transform = transform

    def __len__(self) -> int:
        return IMAGES

    def __getitem__(self, row: int) -> tuple[Any, int]:
        row %= len(self.pixels)
        picture = Image.fromarray(self.pixels[row]).resize((32, 32)).convert("RGB")
        return self.transform(picture), int(self.labels[row])


def here(original: Any, **fixed: Any) -> Any:
    """The class with some arguments given, whatever the script says."""

    class Here(original):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **{**options, **fixed})

    return Here


def prepare(steps: int, losses: list[float], *, small: bool) -> None:
    """Data, machine and length."""
    batch = {"batch_size": SMALL_BATCH} if small else {}
    trainer = here(
        pl.Trainer,
        accelerator="cpu",
        devices=1,
        strategy="auto",
        sync_batchnorm=False,
        use_distributed_sampler=False,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    loader = here(DataLoader, num_workers=0, **batch)
    for place, name, stand_in in (
        (torchvision.datasets, "CIFAR10", Digits),
        (torchvision.datasets, "VOCDetection", Digits),
        (torch.utils.data, "DataLoader", loader),
        (pl, "Trainer", trainer),
    ):
        setattr(place, name, stand_in)
    backward = Tensor.backward

    def counted(loss: Tensor, *args: Any, **options: Any) -> None:
        losses.append(loss.item())
        if len(losses) == steps:
            raise EnoughError
        backward(loss, *args, **options)

    Tensor.backward = counted  # type: ignore[assignment, method-assign]


def with_swap(source: str) -> ast.Module:
    """The script with `_swap(model)` behind the line that makes the model."""
    tree = ast.parse(source)
    made = [
        row
        for row, line in enumerate(tree.body)
        if isinstance(line, ast.Assign)
        and [t.id for t in line.targets if isinstance(t, ast.Name)] == ["model"]
    ]
    if len(made) != 1:
        raise SystemExit(f"{len(made)} lines of the script begin with `model =`, not one")
    tree.body.insert(made[0] + 1, ast.parse("_swap(model)").body[0])
    return ast.fix_missing_locations(tree)


def play(script: Path, head: str, steps: int) -> dict[str, Any]:
    """Run the script."""
    losses: list[float] = []
    told: dict[str, Any] = {"losses": losses, "replaced": [], "refused": None}

    def swap(model: torch.nn.Module) -> None:
        torch.manual_seed(0)
        if head == "lightly":
            return
        try:
            told["replaced"] = [r.path for r in replace_projection_head(model)]
        except ValueError as error:
            told["refused"] = str(error)
            raise RefusedError from error

    torch.manual_seed(0)
    source = script.read_text()
    prepare(steps, losses, small="VOCDetection" in source)
    code = compile(with_swap(source), str(script), "exec")
    with contextlib.suppress(EnoughError, RefusedError):
        exec(code, {"__name__": "__main__", "_swap": swap})
    return told


if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    told = play(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
    print(json.dumps(told))
