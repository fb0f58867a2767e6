"""The projection head in a state_dict, built again from its weights."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from df_heads import TransformerProjectionHead, build_head
from df_heads.integrations.errors import InputError

_FIRST_QKV = "blocks.0.attention.to_qkv.weight"
_COSINE_SCALE = "blocks.0.attention.cosine_scale"
_TEACHER = re.compile(r"momentum|teacher|target|ema|key_encoder")
_HEAD = re.compile(r"(^|\.)(projection_head|projector|student_head|head)\.")
#: The class's own width of an attention head.
_HEAD_DIM = 64


@dataclass(frozen=True)
class FoundHead:
    """A head, and what of it is not in its weights.

    Attributes:
        module: In evaluation mode; None for a head that does not attend.
        title: What to call it.
        notes: What was assumed, a sentence each.
    """

    module: TransformerProjectionHead | None
    title: str
    notes: list[str] = field(default_factory=list)


def find_head(
    state: Mapping[str, Tensor], settings: Mapping[str, Any], num_heads: int | None, file: Path
) -> FoundHead:
    """The head that trained; a teacher's is passed over.

    Args:
        state: Weights of a whole model.
        settings: Its hyperparameters, of ours the names of its parts.
        num_heads: See subject_of_checkpoint.
        file: To name in messages.

    Raises:
        InputError: If there is none, more than one, or its attention heads cannot be told.
    """
    prefixes = [key.removesuffix(_FIRST_QKV) for key in state if key.endswith(_FIRST_QKV)]
    prefixes = [prefix for prefix in prefixes if not _TEACHER.search(prefix)] or prefixes
    if not prefixes:
        return _other_head(state, file)
    if len(prefixes) > 1:
        raise InputError(
            f"{file} holds {len(prefixes)} Transformer heads ({', '.join(prefixes)}); save the one "
            "to look at in a state_dict of its own."
        )
    weights = {
        key.removeprefix(prefixes[0]): value
        for key, value in state.items()
        if key.startswith(prefixes[0])
    }
    name = settings.get("head")
    notes: list[str] = []
    unsaid: dict[str, Any]
    try:
        if isinstance(name, str):
            width = weights["input.weight"].shape[1]
            named: Any = build_head(name, width, **(settings.get("head_options") or {}))
            unsaid = dict(named.options)
        else:
            name = prefixes[0].rstrip(".")
            unsaid = _assumed(weights, num_heads, notes, file)
        # The weights come first: a preset may have changed since they were written.
        module = TransformerProjectionHead(**{**unsaid, **_told(weights, unsaid["num_heads"])})
        module.load_state_dict(weights)
    except InputError:
        raise
    except (KeyError, ValueError, RuntimeError) as error:
        raise InputError(
            f"the head of {file} cannot be built from its weights ({str(error).splitlines()[0]}); "
            "save it with df_heads.integrations.hub.save_head instead."
        ) from error
    return FoundHead(module.eval(), f"{name}, {len(module.blocks)} blocks", notes)


def _assumed(
    weights: Mapping[str, Tensor], num_heads: int | None, notes: list[str], file: Path
) -> dict[str, Any]:
    """What is in no weight: how many attention heads there are, and whether they are a control."""
    if _COSINE_SCALE in weights:
        return {"num_heads": len(weights[_COSINE_SCALE]), "attention": "tied"}
    inner = weights["blocks.0.attention.to_out.weight"].shape[1]
    if num_heads is None:
        num_heads = inner // _HEAD_DIM
        notes.append(
            f"How many attention heads share the width of {inner} is not in the file: {num_heads} "
            f"of the default width {_HEAD_DIM} are taken (--num-heads changes it)."
        )
    if num_heads < 1 or inner % num_heads:
        raise InputError(
            f"the attention of {file} is {inner} wide, which {num_heads} heads cannot share; give "
            "--num-heads."
        )
    notes.append(
        "The kind of attention is not in the file: softmax is taken, not a control such as "
        "attention off."
    )
    return {"num_heads": num_heads, "attention": "softmax"}


def _told(weights: Mapping[str, Tensor], num_heads: int) -> dict[str, Any]:
    """What the weights tell of a head by their names and shapes."""
    hidden, width = weights["input.weight"].shape
    is_stable = "norm.running_mean" in weights
    return {
        "input_dim": width,
        "hidden_dim": hidden,
        "output_dim": len(weights["output.weight"]) if "output.weight" in weights else hidden,
        "num_layers": len({key.split(".")[1] for key in weights if key.startswith("blocks.")}),
        "head_dim": weights["blocks.0.attention.to_out.weight"].shape[1] // num_heads,
        # The head rounds mlp_ratio * hidden_dim down; the half keeps that exact.
        "mlp_ratio": (len(weights["blocks.0.mlp.0.weight"]) + 0.5) / hidden,
        "form": "stable" if is_stable else "paper",
        "norm_first": is_stable or "norm.weight" in weights,
        "input_norm": _input_norm(weights),
    }


def _input_norm(weights: Mapping[str, Tensor]) -> str | None:
    if "feature_norm.running_mean" in weights:
        return "batch"
    return "layer" if "feature_norm.weight" in weights else None


def _other_head(state: Mapping[str, Tensor], file: Path) -> FoundHead:
    names = sorted({match.group(2) for key in state if (match := _HEAD.search(key))})
    if not names:
        raise InputError(
            f"{file} holds no projection head; give a checkpoint of the whole model, not of its "
            "backbone alone."
        )
    return FoundHead(None, f"{names[0]}, which does not attend over the batch")
