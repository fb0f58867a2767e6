"""Weights of a run as safetensors, and the modules that they belong to."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from df_heads.integrations.backbones import build_backbone
from df_heads.integrations.errors import InputError
from df_heads.integrations.files.atomic import write_whole
from df_heads.integrations.runs.heads import build_described
from df_heads.integrations.runs.preprocessing import Preprocessing
from df_heads.integrations.runs.reading import read_run
from df_heads.integrations.runs.run import Run


def save_weights(module: nn.Module, file: Path) -> None:
    """Write a module's state_dict, contiguous and on the CPU; the file appears whole or not at all.

    Weights that are tied are written under each of their names.

    Raises:
        InputError: If the module keeps something else than tensors.
        OSError: If it cannot be written.
    """
    state = module.state_dict()
    for name, value in state.items():
        if not isinstance(value, torch.Tensor):
            raise InputError(
                f"{name} of this {type(module).__name__} is a {type(value).__name__}, and "
                "safetensors holds tensors only; save it by torch.save."
            )
    # Ours are channels_last, which safetensors refuses, as it does tensors that share memory.
    tensors = {
        name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, value in state.items()
    }
    content = save(tensors, metadata={"format": "pt"})
    write_whole(file, lambda stream: stream.write(content))


def load_backbone(run: Run | Path | str) -> tuple[nn.Module, Preprocessing]:
    """The trained backbone of a run, in evaluation mode, and what to do with pictures first.

    Args:
        run: A run, or its folder.

    Returns:
        The backbone, from images (N, 3, S, S) to features (N, D), and its preprocessing.

    Raises:
        InputError: If there is no finished run there, or its weights are missing or damaged.
    """
    run = run if isinstance(run, Run) else read_run(run)
    backbone = run.config.backbone
    with torch.random.fork_rng(devices=[]):
        module = build_backbone(backbone.name, image_size=backbone.image_size, **backbone.options)
    _load(module, run.backbone_file)
    return module.eval(), run.config.preprocessing


def load_head(run: Run | Path | str) -> nn.Module:
    """The trained projection head of a run, in evaluation mode, from (N, D) to (N, d).

    Args:
        run: A run, or its folder.

    Raises:
        InputError: If there is no finished run there, or its weights are missing or damaged.
    """
    run = run if isinstance(run, Run) else read_run(run)
    with torch.random.fork_rng(devices=[]):
        module = build_described(run.config.head)
    _load(module, run.head_file)
    return module.eval()


def _load(module: nn.Module, file: Path) -> None:
    try:
        module.load_state_dict(load_file(file))
    except FileNotFoundError as error:
        raise InputError(
            f"{file} is missing; the command of the run, in its config.json, writes it again."
        ) from error
    except (SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{file} is damaged or of another run ({reason}); train into a new folder."
        ) from error
