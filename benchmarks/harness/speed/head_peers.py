"""The small head and others of equal shape, with its weights."""

import warnings
from typing import Any, cast

import torch
from einops import rearrange
from torch import Tensor, nn

from df_heads.attention import BatchAttention
from df_heads.benchmarks.harness.base.errors import InputError
from df_heads.benchmarks.harness.speed.compared import (
    HEAD_DIM,
    HEADS,
    LAYERS,
    NARROW_HEAD_DIM,
    OURS,
    WIDTH,
)
from df_heads.block import TransformerBlock
from df_heads.heads import TransformerProjectionHead

TOLERANCE = 1e-5


def small_head(head_dim: int = HEAD_DIM, **options: Any) -> TransformerProjectionHead:
    """The paper's small head, tokens in and tokens out."""
    return TransformerProjectionHead.small(
        WIDTH, num_layers=LAYERS, num_heads=HEADS, head_dim=head_dim, **options
    )


def wide_group() -> dict[str, nn.Module]:
    """Our head, as the paper has it, and its peers; equal weights.

    x-transformers has no bias behind the attention and none in its LayerNorms: ours are 0 here.

    Raises:
        InputError: If x-transformers is not installed, or a peer gives other outputs.
    """
    head = small_head()
    for block in _blocks(head):
        nn.init.zeros_(block.attention.to_out.bias)
    peers = {
        "explicit softmax": _explicit_softmax(head),
        "x-transformers, flash": _x_transformers(head, flash=True),
        "x-transformers": _x_transformers(head, flash=False),
    }
    return _checked(head, peers)


def narrow_group() -> dict[str, nn.Module]:
    """Our head with heads of width / num_heads, and torch's encoder; equal weights.

    torch's has biases for queries, keys and values: they are 0 here.

    Raises:
        InputError: If torch's gives other outputs.
    """
    head = small_head(NARROW_HEAD_DIM)
    return _checked(head, {"nn.TransformerEncoder": _torch_encoder(head)})


class ExplicitAttention(BatchAttention):
    """Attention that writes its N x N weights out."""

    def forward(self, x: Tensor, attn_mask: Tensor | None = None, gathered: Any = None) -> Tensor:
        """Mix the tokens of each sequence; takes no mask and no other processes."""
        q, k, v = self.project(x)
        mixed = (self.softmax_scale * q @ k.mT).softmax(-1) @ v
        out: Tensor = self.to_out(rearrange(mixed, "s h n d -> s n (h d)"))
        return out


def _explicit_softmax(head: TransformerProjectionHead) -> nn.Module:
    peer = small_head()
    for block in _blocks(peer):
        block.attention = ExplicitAttention(WIDTH, num_heads=HEADS, head_dim=HEAD_DIM)
    peer.load_state_dict(head.state_dict())
    return peer


def _x_transformers(head: TransformerProjectionHead, *, flash: bool) -> nn.Module:
    try:
        with warnings.catch_warnings():
            # It still uses torch.jit, which newer torch deprecates.
            warnings.simplefilter("ignore", FutureWarning)
            from x_transformers import Encoder
    except ImportError as error:
        raise InputError(
            "The part head compares with x-transformers: pip install x-transformers"
        ) from error
    encoder = Encoder(
        dim=WIDTH,
        depth=LAYERS,
        heads=HEADS,
        attn_dim_head=HEAD_DIM,
        attn_flash=flash,
        ff_mult=4,
        pre_norm=False,
    )
    weights: dict[str, Tensor] = {}
    initial = encoder.state_dict()
    for index, block in enumerate(_blocks(head)):
        attention, mlp = f"layers.{2 * index}", f"layers.{2 * index + 1}"
        to_qkv = block.attention.to_qkv.weight.chunk(3)
        weights |= {f"{attention}.1.to_{n}.weight": w for n, w in zip("qkv", to_qkv, strict=True)}
        weights[f"{attention}.1.to_out.weight"] = block.attention.to_out.weight
        for part, norm in ((attention, block.attention_norm), (mlp, block.mlp_norm)):
            # Some versions store the gain less 1; it starts at 1 in all of them.
            weights[f"{part}.0.2.gamma"] = norm.weight - 1 + initial[f"{part}.0.2.gamma"]
        for theirs, ours in (("ff.0.0", 0), ("ff.2", 3)):
            weights |= _named(f"{mlp}.1.{theirs}", block.mlp[ours])
    encoder.load_state_dict(weights)
    return nn.Sequential(_copy_of_input(head), encoder)


def _torch_encoder(head: TransformerProjectionHead) -> nn.Module:
    layer = nn.TransformerEncoderLayer(
        WIDTH, HEADS, 4 * WIDTH, dropout=0.0, activation="gelu", batch_first=True
    )
    encoder = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)
    weights: dict[str, Tensor] = {}
    for index, block in enumerate(_blocks(head)):
        prefix = f"layers.{index}"
        to_qkv = block.attention.to_qkv.weight
        weights[f"{prefix}.self_attn.in_proj_weight"] = to_qkv
        weights[f"{prefix}.self_attn.in_proj_bias"] = torch.zeros(len(to_qkv))
        for theirs, ours in (
            ("self_attn.out_proj", block.attention.to_out),
            ("norm1", block.attention_norm),
            ("linear1", block.mlp[0]),
            ("linear2", block.mlp[3]),
            ("norm2", block.mlp_norm),
        ):
            weights |= _named(f"{prefix}.{theirs}", ours)
    encoder.load_state_dict(weights)
    return nn.Sequential(_copy_of_input(head), encoder)


def _checked(head: TransformerProjectionHead, peers: dict[str, nn.Module]) -> dict[str, nn.Module]:
    x = torch.randn(1, 256, WIDTH)
    with torch.no_grad():
        expected = head(x)
        for name, peer in peers.items():
            error = float((peer(x) - expected).abs().max())
            if not error <= TOLERANCE:
                raise InputError(
                    f"{name} with our weights gives outputs that differ by {error:.1e}, more than "
                    f"{TOLERANCE}: its installed version has another structure, so its time would "
                    "compare with nothing."
                )
    return {OURS: head, **peers}


def _blocks(head: TransformerProjectionHead) -> list[TransformerBlock]:
    return [cast(TransformerBlock, block) for block in head.blocks]


def _named(prefix: str, module: nn.Module) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": value for name, value in module.state_dict().items()}


def _copy_of_input(head: TransformerProjectionHead) -> nn.Linear:
    linear = nn.Linear(WIDTH, WIDTH)
    linear.load_state_dict(head.input.state_dict())
    return linear
