"""The projection heads: a Transformer over the batch, and the feed-forward one it replaces."""

import inspect
import math
from collections.abc import Mapping
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from df_heads._finite import (
    check_above_zero,
    check_below_one,
    check_counts,
    check_number,
    check_switches,
)
from df_heads._head_inputs import check_features, check_mask
from df_heads.attention import AttentionMode, BatchAttention
from df_heads.batch_norm import SequenceBatchNorm
from df_heads.block import TransformerBlock
from df_heads.gathering import Peers, meet_peers, process_count, refuse_peers

Form = Literal["stable", "paper"]
InputNorm = Literal["batch", "layer"]

# Measured: 1 leaves VICReg and Barlow Twins at SGD 1.0 fewer dimensions, 0.3 is in between.
STABLE_RESIDUAL_SCALE = 0.1
# What half precision still holds.
MOST_RESIDUAL_SCALE = 1e4

_SMALL: Mapping[str, Any] = {"form": "paper", "hidden_dim": 128, "output_dim": 128, "num_heads": 8}
_LARGE: Mapping[str, Any] = {"form": "paper", "hidden_dim": 256, "output_dim": 256, "num_heads": 16}


class TransformerProjectionHead(nn.Module):
    r"""A Transformer whose sequence is the batch (arXiv 2403.18681, "Transformer Projection Head").

    Every embedding of the batch is one token. Each block applies multi-head attention over the
    batch, then a position-wise feed-forward network with GELU, both with a residual connection
    and LayerNorm. There is no positional encoding: permuting the batch permutes the output.

    **Two forms.** "stable", the default, starts as the head that SimCLR, VICReg and Barlow Twins
    have: Linear, BatchNorm, ReLU, Linear. The blocks stand before the BatchNorm; the last layer of
    both their branches starts at zero and counts a tenth, so the blocks start as the identity and
    grow in. A BatchNorm before the first layer takes away what all features have in common; without
    it the tokens of a fresh vision Transformer hardly differ for a LayerNorm. It trains with the
    optimiser and learning rate that the head it replaces trained with, without clipping or warmup.
    "paper" is what the paper describes: post-norm blocks and nothing else. It has no batch
    statistics, but its outputs become parallel within a few steps where the gradient is not clipped
    or warmed up.

    **The output for a sample depends on the rest of its batch.** Evaluate the features of the
    backbone, as the paper does, not the output of this head.

    >>> head = TransformerProjectionHead(input_dim=512, hidden_dim=128, output_dim=128)
    >>> head(torch.randn(256, 512)).shape
    torch.Size([256, 128])
    >>> head(torch.randn(2, 256, 512)).shape  # two views, each its own sequence
    torch.Size([2, 256, 128])

    Args:
        input_dim: Width of the backbone's features (512 for ResNet18).
        hidden_dim: Width of the tokens, the paper's "feature dimension".
        output_dim: Width of the projections. With form="paper", if it equals hidden_dim there is
            no output layer: the projection is the output sequence itself, as in the paper.
        num_layers: Number of Transformer blocks (paper: 5; 10 in its Table 1). The fourth argument,
            as in lightly's heads, where it counts linear layers.
        num_heads: Attention heads per block (paper: 8 small, 16 large).
        head_dim: Width of one head. 64, the usual value, gives the paper's parameter counts;
            hidden_dim / num_heads would give half of them.
        mlp_ratio: Width of the feed-forward network over hidden_dim (4, Vaswani et al. 2017).
        dropout: Dropout probability; the paper names none.
        form: "stable" or "paper"; see above. Weights of one do not fit the other.
        norm_first: False is post-norm, LayerNorm(x + f(x)), as in Vaswani et al. 2017, which the
            paper cites; True is pre-norm, x + f(LayerNorm(x)), with a final LayerNorm in the
            paper's form. None: False for "paper", True for "stable".
        residual_scale: What both branches of a block are multiplied by before they are added.
            None: 1 for "paper", 0.1 for "stable".
        input_norm: Normalise the features before the first layer: "batch", BatchNorm over the
            batch; "layer", LayerNorm of each sample; None, neither. "auto": None for "paper",
            "batch" for "stable".
        sequence_length: Cut a batch of N into ceil(N / sequence_length) sequences that do not
            see each other; the cost is N * sequence_length instead of N * N. The last one may be
            shorter. torch.export(..., strict=False) with N left open writes a program that costs
            N * N. None: one sequence.
        gather_distributed: Under torch.distributed, attend to the tokens of all processes, with
            gradients: R processes of N samples each give the outputs and gradients of one process
            with R * N. All processes must call the head together, in training and in evaluation;
            N may differ between them. sequence_length then cuts the sequence of all tokens, in
            rank order, and may join processes in groups. Without torch.distributed, or with one
            process, it changes nothing.
        attention: "softmax", "tied", or the controls "self" and "uniform"; see BatchAttention.
            "self" switches the mixing off and keeps everything else, so the gain of "softmax"
            over it is what attending over the batch is worth.

    Raises:
        TypeError: If a value is no number, or neither True nor False.
        ValueError: If a size is not positive, dropout is outside [0, 1), or attention is unknown.
    """

    def __init__(
        self,
        input_dim: int = 512,
        hidden_dim: int = 128,
        output_dim: int = 128,
        num_layers: int = 5,
        *,
        num_heads: int = 8,
        head_dim: int = 64,
        mlp_ratio: float = 4.0,
        dropout: float = 0.0,
        form: Form = "stable",
        norm_first: bool | None = None,
        residual_scale: float | None = None,
        input_norm: InputNorm | Literal["auto"] | None = "auto",
        sequence_length: int | None = None,
        gather_distributed: bool = False,
        attention: AttentionMode = "softmax",
    ) -> None:
        super().__init__()
        check_counts(
            input_dim=input_dim,
            hidden_dim=hidden_dim,
            output_dim=output_dim,
            num_layers=num_layers,
            num_heads=num_heads,
            head_dim=head_dim,
            sequence_length=1 if sequence_length is None else sequence_length,
        )
        check_number(mlp_ratio=mlp_ratio)
        if not 1 <= mlp_ratio * hidden_dim < math.inf:
            raise ValueError(
                f"mlp_ratio={mlp_ratio} times hidden_dim={hidden_dim} is no feed-forward width; "
                f"mlp_ratio must be a finite number of at least {1 / hidden_dim:g}."
            )
        mlp_dim = int(mlp_ratio * hidden_dim)
        check_below_one(dropout=dropout)
        check_switches(gather_distributed=gather_distributed)
        _require_one_of(Form, form=form)
        is_stable = form == "stable"
        if input_norm == "auto":
            input_norm = "batch" if is_stable else None
        if input_norm is not None:
            _require_one_of(InputNorm, input_norm=input_norm)
        norm_first = is_stable if norm_first is None else norm_first
        if residual_scale is None:
            residual_scale = STABLE_RESIDUAL_SCALE if is_stable else 1.0
        check_switches(norm_first=norm_first)
        check_above_zero(residual_scale=residual_scale)
        if residual_scale > MOST_RESIDUAL_SCALE:
            raise ValueError(
                f"residual_scale={residual_scale} must be at most {MOST_RESIDUAL_SCALE:g}."
            )
        self.input_dim = input_dim
        self.hidden_dim = hidden_dim
        self.output_dim = output_dim
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.head_dim = head_dim
        self.mlp_ratio = mlp_ratio
        self.dropout = dropout
        self.norm_first = norm_first
        self.residual_scale = residual_scale
        self.sequence_length = sequence_length
        self.gather_distributed = gather_distributed
        self.attention = attention
        self.form = form
        self.input_norm = input_norm
        self.feature_norm = _input_norm(input_norm, input_dim)
        self.input = nn.Linear(input_dim, hidden_dim)
        blocks = [
            TransformerBlock(
                hidden_dim,
                mlp_dim,
                BatchAttention(
                    hidden_dim,
                    num_heads=num_heads,
                    head_dim=head_dim,
                    dropout=dropout,
                    sequence_length=sequence_length,
                    attention=attention,
                ),
                dropout=dropout,
                norm_first=norm_first,
                residual_scale=residual_scale,
            )
            for _ in range(num_layers)
        ]
        self.blocks = nn.ModuleList(blocks)
        self.norm: nn.Module = nn.LayerNorm(hidden_dim) if norm_first else nn.Identity()
        self.activation: nn.Module = nn.Identity()
        has_output = is_stable or output_dim != hidden_dim
        self.output = nn.Linear(hidden_dim, output_dim) if has_output else nn.Identity()
        if is_stable:
            for block in blocks:
                block.start_as_identity()
            self.norm, self.activation = SequenceBatchNorm(hidden_dim), nn.ReLU()

    @classmethod
    def small(cls, input_dim: int = 512, **options: Any) -> "TransformerProjectionHead":
        """The paper's small head, in the paper's form: 5 blocks, width 128, 8 heads.

        2,038,144 parameters at input_dim 512 = 1.94 x 2^20; the paper says 1.9M. `options` are
        passed to the constructor and win over the preset: form="stable" gives the stable form at
        this size, 2,055,936 parameters.
        """
        return cls(input_dim, **{**_SMALL, **options})

    @classmethod
    def large(cls, input_dim: int = 512, **options: Any) -> "TransformerProjectionHead":
        """The paper's large head, in the paper's form: 5 blocks, width 256, 16 heads.

        8,008,448 parameters at input_dim 512 = 7.64 x 2^20; the paper says 7.6M. `options` are
        passed to the constructor and win over the preset: form="stable" gives the stable form at
        this size, 8,075,776 parameters.
        """
        return cls(input_dim, **{**_LARGE, **options})

    @property
    def options(self) -> dict[str, Any]:
        """Keyword arguments that build the same head anew, as plain values."""
        return _options(self)

    def forward(self, x: Tensor, attn_mask: Tensor | None = None) -> Tensor:
        """Project a batch.

        Args:
            x: Features (N, input_dim), one sequence of N tokens, or (S, N, input_dim), S
                independent sequences.
            attn_mask: Bool, (N, N), or (S, N, N) for one mask per sequence; True = token i may
                attend to token j (the convention of scaled_dot_product_attention). With
                gather_distributed=True, (N, M) or (S, N, M): a row for each of this process's
                tokens, a column for each of the M of all processes, in rank order.

        Returns:
            Projections, (N, output_dim) or (S, N, output_dim): those of this process's tokens.

        Raises:
            TypeError: If x or attn_mask is no tensor.
            ValueError: If the shape or dtype of x or attn_mask does not fit, or BatchNorm is to
                train on a single sample. With gather_distributed=True all processes raise if one
                does, so none waits for it.
        """
        peers = None
        if self.gather_distributed and process_count() > 1:
            peers = self._meet_peers(x, attn_mask)
        else:
            check_features(x, self.input_dim, self.input)
            check_mask(attn_mask, x, columns=x.shape[-2])
        attended = peers
        if peers is not None and self.attention == "self":
            # No token sees another, so there is nothing to attend to.
            attn_mask = None if attn_mask is None else attn_mask[..., peers.own]
            attended = None
        features = x if x.dim() == 3 else x.unsqueeze(0)
        tokens = self.input(_normalise(self.feature_norm, features, peers))
        for block in self.blocks:
            tokens = block(tokens, attn_mask, attended)
        z: Tensor = self.output(self.activation(_normalise(self.norm, tokens, peers)))
        return z if x.dim() == 3 else z.squeeze(0)

    def _meet_peers(self, x: Tensor, attn_mask: Tensor | None) -> Peers:
        try:
            check_features(x, self.input_dim, self.input)
            check_mask(attn_mask, x, columns=None)
        except (TypeError, ValueError):
            refuse_peers(x.device)
            raise
        return meet_peers(x if x.dim() == 3 else x.unsqueeze(0), attn_mask)


class FeedForwardProjectionHead(nn.Module):
    """The paper's baseline: linear layers with ReLU between them, each sample by itself.

    >>> FeedForwardProjectionHead(512, 640, 512)(torch.randn(256, 512)).shape
    torch.Size([256, 512])

    Args:
        input_dim: Width of the backbone's features.
        hidden_dim: Width of the hidden layers (paper: 640 small, 1024 large).
        output_dim: Width of the projections.
        num_layers: Number of linear layers, the output layer included.
        batch_norm: BatchNorm before each ReLU, as in the SimCLR reference code. The statistics
            are taken over one sequence, never across sequences.

    Raises:
        ValueError: If a size is not positive.
    """

    def __init__(
        self,
        input_dim: int = 512,
        hidden_dim: int = 640,
        output_dim: int = 512,
        num_layers: int = 5,
        *,
        batch_norm: bool = True,
    ) -> None:
        super().__init__()
        check_counts(
            input_dim=input_dim, hidden_dim=hidden_dim, output_dim=output_dim, num_layers=num_layers
        )
        check_switches(batch_norm=batch_norm)
        self.input_dim = input_dim
        self.hidden_dim = hidden_dim
        self.output_dim = output_dim
        self.num_layers = num_layers
        self.batch_norm = batch_norm
        layers: list[nn.Module] = []
        width = input_dim
        for _ in range(num_layers - 1):
            layers.append(nn.Linear(width, hidden_dim, bias=not batch_norm))
            if batch_norm:
                layers.append(nn.BatchNorm1d(hidden_dim))
            layers.append(nn.ReLU())
            width = hidden_dim
        self.layers = nn.Sequential(*layers, nn.Linear(width, output_dim))

    @classmethod
    def small(cls, input_dim: int = 512, **options: Any) -> "FeedForwardProjectionHead":
        """The paper's small baseline: 5 linear layers of hidden width 640, output 512.

        1,889,792 parameters at input_dim 512; the paper says 1.9M. `options` win over the preset.
        """
        return cls(input_dim, **{"hidden_dim": 640, "output_dim": 512, "num_layers": 5, **options})

    @classmethod
    def large(cls, input_dim: int = 512, **options: Any) -> "FeedForwardProjectionHead":
        """The paper's large baseline: 7 hidden layers of width 1024 and an output layer of 512.

        7,354,880 parameters at input_dim 512; the paper says 7.4M for "7 FFN layers", which 7
        linear layers with the output layer among them would miss by 1.1M. `options` win over the
        preset.
        """
        return cls(input_dim, **{"hidden_dim": 1024, "output_dim": 512, "num_layers": 8, **options})

    @property
    def options(self) -> dict[str, Any]:
        """Keyword arguments that build the same head anew, as plain values."""
        return _options(self)

    def forward(self, x: Tensor) -> Tensor:
        """Project (N, input_dim) to (N, output_dim), or S sequences (S, N, input_dim) alike.

        Raises:
            TypeError: If x is no tensor.
            ValueError: If the shape or dtype of x does not fit, or BatchNorm is to train on a
                single sample.
        """
        check_features(x, self.input_dim, self.layers[0])
        if self.batch_norm and len(self.layers) > 1 and self.training and x.shape[-2] == 1:
            raise ValueError(
                "BatchNorm cannot train on a batch of 1 sample; use at least 2, eval(), or "
                "batch_norm=False."
            )
        if x.dim() == 3 and self.batch_norm:
            return torch.stack([self.layers(sequence) for sequence in x])
        z: Tensor = self.layers(x)
        return z


def _options(head: nn.Module) -> dict[str, Any]:
    """The arguments of a head's class, each of which it keeps under its name."""
    # Of __init__: a subclass may have a __new__ that takes anything.
    _, *names = inspect.signature(type(head).__init__).parameters
    return {name: getattr(head, name) for name in names}


def _input_norm(kind: InputNorm | None, input_dim: int) -> nn.Module:
    if kind == "batch":
        return SequenceBatchNorm(input_dim)
    return nn.LayerNorm(input_dim) if kind == "layer" else nn.Identity()


def _normalise(norm: nn.Module, x: Tensor, peers: Peers | None) -> Tensor:
    normalised: Tensor = norm(x, peers) if isinstance(norm, SequenceBatchNorm) else norm(x)
    return normalised


def _require_one_of(kind: Any, **given: Any) -> None:
    for name, value in given.items():
        if value not in get_args(kind):
            known = ", ".join(repr(choice) for choice in get_args(kind))
            raise ValueError(f"{name}={value!r} is not known; choose one of {known}.")
