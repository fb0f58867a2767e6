"""Trained backbones and heads in lightly's model zoo."""

import difflib
import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

try:
    from lightly.models.zoo import ZOO
except ImportError as error:
    raise ImportError(
        "df_heads.integrations.lightly_checkpoints needs lightly 1.6: pip install 'lightly>=1.6,<2'"
    ) from error
import torch
from torch import Tensor, nn

from df_heads import FeedForwardProjectionHead, TransformerProjectionHead
from df_heads.integrations.backbones import build_backbone
from df_heads.integrations.choices import Stem
from df_heads.integrations.files.torch_files import DamagedFileError, read_torch, write_torch

_NAME = re.compile(r"[a-z0-9_]+(-[a-z0-9_]+)*/[a-z0-9]+(-[a-z0-9]+)*/d[1-9]\d*/w\d+(\.\d+)?")
_FORMAT = "df_heads checkpoint 1"
_HEAD_CLASSES: Mapping[str, type[nn.Module]] = {
    "transformer": TransformerProjectionHead,
    "feedforward": FeedForwardProjectionHead,
}


def register_checkpoint(name: str, url_or_path: str | Path) -> str:
    """Put a checkpoint that save_checkpoint wrote into lightly.models.ZOO.

    >>> register_checkpoint("resnet-18/simclr-transformer/d512/w1.0", "runs/best.pth")

    Args:
        name: As lightly names its own: backbone / method / d and the width of the features / w
            and the width factor of the backbone.
        url_or_path: An http, https or file URL, or a path, which becomes a file URL.

    Returns:
        The URL.

    Raises:
        ValueError: If the name is not of that form, is taken by another URL, or the URL is of
            another kind.
        FileNotFoundError: If there is no such file.
    """
    if _NAME.fullmatch(name) is None:
        raise ValueError(
            f"{name!r} is not a name in lightly's style, such as "
            "'resnet-18/simclr-transformer/d512/w1.0'."
        )
    url = str(url_or_path)
    if "://" not in url:
        url = Path(url).expanduser().resolve().as_uri()
    scheme = urlsplit(url).scheme
    if scheme not in ("http", "https", "file"):
        raise ValueError(f"{url!r} is not an http, https or file URL, nor a path.")
    if scheme == "file" and not _path_of(url).is_file():
        raise FileNotFoundError(f"There is no file {_path_of(url)} to register as {name!r}.")
    if ZOO.setdefault(name, url) != url:
        raise ValueError(
            f"lightly's zoo already has {name!r}, at {ZOO[name]}; choose another name, or delete "
            "that entry of lightly.models.ZOO first."
        )
    return url


def save_checkpoint(
    path: str | Path,
    backbone: nn.Module,
    head: nn.Module,
    *,
    backbone_name: str,
    stem: Stem = "imagenet",
    image_size: int = 32,
) -> None:
    """Write a backbone and its head to a file that load_checkpoint can build them from.

    The file holds tensors, numbers and words only; an existing one is replaced once the new one
    is complete. The head's options are read from the head itself.

    Args:
        path: The file.
        backbone: What build_backbone(backbone_name, stem=stem, image_size=image_size) built,
            trained.
        head: A TransformerProjectionHead or a FeedForwardProjectionHead, trained.
        backbone_name: See build_backbone.
        stem: See build_backbone.
        image_size: See build_backbone.

    Raises:
        ValueError: If the backbone is not the one described, or the head is of another class.
    """
    content = {
        "format": _FORMAT,
        "backbone": {"name": backbone_name, "stem": stem, "image_size": image_size},
        "head": _describe_head(head),
        "backbone_state": _plain_state(backbone),
        "head_state": _plain_state(head),
    }
    _build(content)
    write_torch(Path(path), content)


def load_checkpoint(name: str) -> tuple[nn.Module, nn.Module]:
    """Build the backbone and the head of a checkpoint in lightly.models.ZOO.

    Downloads are kept where torch.hub keeps its own. Nothing in the file is executed.

    Args:
        name: A name given to register_checkpoint.

    Returns:
        Backbone and head, on the CPU, in evaluation mode.

    Raises:
        ValueError: If there is no such name, the file is damaged or is not from save_checkpoint,
            or its weights belong to another architecture.
        FileNotFoundError: If the file is no longer there.
        OSError: If the download fails.
    """
    if name not in ZOO:
        near = difflib.get_close_matches(name, ZOO, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"lightly's zoo has no checkpoint {name!r}.{hint}")
    url = ZOO[name]
    try:
        content = _read(url)
    except DamagedFileError as error:
        raise ValueError(
            f"{name!r} cannot be read from {url}: the file is truncated, damaged or not a "
            f"checkpoint of tensors and plain data ({error}); fetch it again."
        ) from error
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise ValueError(f"{name!r} at {url} was not written by df_heads' save_checkpoint.")
    try:
        return _build(content)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{name!r} at {url} cannot be built: {error}") from error


def _read(url: str) -> Any:
    if urlsplit(url).scheme == "file":
        path = _path_of(url)
        if not path.is_file():
            raise FileNotFoundError(f"There is no file {path}.")
        return read_torch(path)
    # Downloads are kept by file name alone, and two URLs may end in the same one.
    cached = f"df_heads-{hashlib.sha256(url.encode()).hexdigest()[:16]}.pth"
    path = Path(torch.hub.get_dir()) / "checkpoints" / cached
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path))
    return read_torch(path)


def _path_of(url: str) -> Path:
    return Path(url2pathname(urlsplit(url).path))


def _build(content: Mapping[str, Any]) -> tuple[nn.Module, nn.Module]:
    described, head_described = content["backbone"], content["head"]
    # Loading weights must not shift the random numbers of the run that loads them.
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        backbone = build_backbone(
            described["name"], stem=described["stem"], image_size=described["image_size"]
        )
        # A file of version 0.1.0 names no form: there was the paper's only.
        form = {"form": "paper"} if head_described["class"] == "transformer" else {}
        head = _HEAD_CLASSES[head_described["class"]](**{**form, **head_described["options"]})
    _load(backbone, content["backbone_state"], f"backbone {described['name']!r}")
    _load(head, content["head_state"], f"{head_described['class']} head")
    return backbone.eval(), head.eval()


def _load(module: nn.Module, state: Mapping[str, Tensor], what: str) -> None:
    expected = module.state_dict()
    shared = expected.keys() & state.keys()
    differences = {
        "missing": expected.keys() - shared,
        "unexpected": state.keys() - shared,
        "of another shape": {k for k in shared if expected[k].shape != state[k].shape},
    }
    found = "; ".join(f"{kind}: {_some(keys)}" for kind, keys in differences.items() if keys)
    if found:
        raise ValueError(f"the weights are not those of the {what} ({found}).")
    module.load_state_dict(state)


def _some(keys: Iterable[str], most: int = 3) -> str:
    keys = sorted(keys)
    rest = f" and {len(keys) - most} more" if len(keys) > most else ""
    return ", ".join(keys[:most]) + rest


def _plain_state(module: nn.Module) -> dict[str, Tensor]:
    # Cloned: a view would bring the whole of its storage into the file.
    return {name: value.detach().cpu().clone() for name, value in module.state_dict().items()}


def _describe_head(head: nn.Module) -> dict[str, Any]:
    if isinstance(head, FeedForwardProjectionHead):
        options: dict[str, Any] = {
            "num_layers": sum(isinstance(layer, nn.Linear) for layer in head.layers),
            "batch_norm": head.batch_norm,
        }
        name = "feedforward"
    elif isinstance(head, TransformerProjectionHead):
        block: Any = head.blocks[0]
        options = {
            "num_layers": len(head.blocks),
            "num_heads": block.attention.num_heads,
            "head_dim": block.attention.head_dim,
            # The head rounds mlp_ratio * hidden_dim down; the half keeps that exact.
            "mlp_ratio": (block.mlp[0].out_features + 0.5) / head.hidden_dim,
            "dropout": block.dropout.p,
            "form": head.form,
            "norm_first": block.norm_first,
            "residual_scale": block.residual_scale,
            "input_norm": head.input_norm,
            "sequence_length": head.sequence_length,
            "attention": block.attention.attention,
        }
        name = "transformer"
    else:
        raise ValueError(
            f"The head is a {type(head).__name__}; a checkpoint holds a TransformerProjectionHead "
            "or a FeedForwardProjectionHead."
        )
    widths = {key: getattr(head, key) for key in ("input_dim", "hidden_dim", "output_dim")}
    return {"class": name, "options": {**widths, **options}}
