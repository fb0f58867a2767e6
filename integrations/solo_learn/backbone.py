"""The backbone of a solo-learn run with one of our heads."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from df_heads.integrations.files.torch_files import DamagedFileError, read_torch
from df_heads.integrations.solo_learn.support import SUFFIX, backbone_builders

_PREFIX = "backbone."
# What the entry "df_heads" of a checkpoint holds.
_FIELDS = {"backbone": str, "method": str, "dataset": str, "backbone_kwargs": dict}


def load_backbone(checkpoint: str | Path, architecture: str | None = None) -> nn.Module:
    """The trained backbone of a `_tph` run, without its head.

    >>> backbone = load_backbone("trained_models/simclr_tph/a1b2c3/simclr-ep=999.ckpt")
    >>> backbone(images)  # (N, 3, H, W) -> (N, D)

    Images must be normalised as solo-learn did in training (its prepare_transforms). Nothing
    but the file is needed: the architecture is recorded in it.

    Args:
        checkpoint: A .ckpt file of main_pretrain.py.
        architecture: What you expect it to be, such as "resnet18"; None takes what there is.

    Returns:
        The backbone on the CPU, in evaluation mode.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no checkpoint of a `_tph` run, holds another architecture, or its
            weights are not those of the architecture it names.
    """
    path = Path(checkpoint)
    if not path.is_file():
        inside = sorted(path.glob("*.ckpt")) if path.is_dir() else []
        hint = f" It is a folder; its checkpoints are: {', '.join(map(str, inside))}."
        raise FileNotFoundError(f"There is no file {path}.{hint if inside else ''}")
    try:
        saved = read_torch(path)
    except DamagedFileError as error:
        raise ValueError(f"{path} cannot be read as a checkpoint ({error}).") from error
    run = saved.get("df_heads") if isinstance(saved, dict) else None
    if run is None or not isinstance(saved.get("state_dict"), dict):
        raise ValueError(
            f"{path} is no checkpoint of a {SUFFIX} method. For a checkpoint of another method, "
            "take the entries of its state_dict that start with 'backbone.'."
        )
    wrong = [k for k, kind in _FIELDS.items() if not isinstance(_entry(run, k), kind)]
    if wrong or not all(isinstance(weight, Tensor) for weight in saved["state_dict"].values()):
        raise ValueError(
            f"{path} is damaged, or of another version: "
            f"{' and '.join(wrong) or 'its state_dict'} is not what a {SUFFIX} method writes."
        )
    if architecture not in (None, run["backbone"]):
        raise ValueError(f"{path} holds a {run['backbone']}, not a {architecture}.")
    state = {
        name.removeprefix(_PREFIX): weight
        for name, weight in saved["state_dict"].items()
        if name.startswith(_PREFIX)
    }
    backbone = _build(path, run)
    _require_same(path, run["backbone"], state, backbone.state_dict())
    backbone.load_state_dict(state)
    return backbone.eval()


def _entry(run: Any, key: str) -> Any:
    return run.get(key) if isinstance(run, dict) else None


def _build(path: Path, run: dict[str, Any]) -> nn.Module:
    builders = backbone_builders()
    if run["backbone"] not in builders:
        raise ValueError(f"{path} names the backbone {run['backbone']!r}, which solo-learn lacks.")
    try:
        with torch.random.fork_rng(devices=[]):
            backbone: nn.Module = builders[run["backbone"]](run["method"], **run["backbone_kwargs"])
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{path}: no {run['backbone']} can be built from {run['backbone_kwargs']} ({error})."
        ) from error
    if run["backbone"].startswith("resnet"):
        # As solo.methods.base.BaseMethod does.
        backbone.fc = nn.Identity()
        if run["dataset"] in ("cifar10", "cifar100"):
            backbone.conv1 = nn.Conv2d(3, 64, kernel_size=3, stride=1, padding=2, bias=False)
            backbone.maxpool = nn.Identity()
    return backbone


def _require_same(
    path: Path, architecture: str, found: dict[str, Tensor], wanted: dict[str, Tensor]
) -> None:
    differences = {
        "is missing": wanted.keys() - found.keys(),
        "is not part of it": found.keys() - wanted.keys(),
        "has another shape": {
            name for name in wanted.keys() & found.keys() if wanted[name].shape != found[name].shape
        },
    }
    for what, names in differences.items():
        if names:
            more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
            raise ValueError(
                f"The weights in {path} are not those of a {architecture}: "
                f"backbone.{min(names)}{more} {what}."
            )
