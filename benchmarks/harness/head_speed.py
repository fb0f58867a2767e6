"""Time and memory of a head alone: one forward and backward pass over N samples."""

import warnings
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from df_heads.benchmarks.harness.errors import InputError
from df_heads.benchmarks.harness.measuring import Pass, time_in_turn
from df_heads.heads import TransformerProjectionHead

WIDTH, LAYERS, HEADS, HEAD_DIM = 128, 5, 8, 64  # the paper's small head


def build_ours() -> nn.Module:
    """The small head, tokens in and tokens out."""
    return TransformerProjectionHead(
        WIDTH, WIDTH, WIDTH, num_layers=LAYERS, num_heads=HEADS, head_dim=HEAD_DIM
    )


def build_x_transformers() -> nn.Module:
    """x-transformers' encoder of equal shape with its fused ("flash") attention.

    Raises:
        InputError: If x-transformers is not installed.
    """
    try:
        with warnings.catch_warnings():
            # It still uses torch.jit, which newer torch deprecates.
            warnings.simplefilter("ignore", FutureWarning)
            from x_transformers import Encoder
    except ImportError as error:
        raise InputError(
            "--head compares with x-transformers: pip install x-transformers"
        ) from error
    encoder: nn.Module = Encoder(
        dim=WIDTH,
        depth=LAYERS,
        heads=HEADS,
        attn_dim_head=HEAD_DIM,
        attn_flash=True,
        ff_mult=4,
        pre_norm=False,
    )
    return nn.Sequential(nn.Linear(WIDTH, WIDTH), encoder)


def time_alternately(
    modules: Mapping[str, nn.Module], tokens: int, *, device: torch.device, repeats: int
) -> dict[str, list[float]]:
    """Milliseconds of each repeat of each module over so many samples."""
    x = torch.randn(1, tokens, WIDTH, device=device)
    passes = {name: _pass(module.to(device), x) for name, module in modules.items()}
    return time_in_turn(passes, device, repeats=repeats)


def our_pass(tokens: int, device: torch.device) -> Pass:
    """One forward and backward pass of our head over so many samples."""
    return _pass(build_ours().to(device), torch.randn(1, tokens, WIDTH, device=device))


def _pass(module: nn.Module, x: Tensor) -> Pass:
    def one_pass() -> None:
        module.zero_grad(set_to_none=False)
        torch.autograd.backward(module(x).square().mean())

    return one_pass
