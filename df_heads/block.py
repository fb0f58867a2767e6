"""One block of the Transformer head: attention over the batch, then a feed-forward network."""

import torch
from torch import Tensor, nn

from df_heads.attention import BatchAttention
from df_heads.gathering import Peers


class TransformerBlock(nn.Module):
    """Attention, then a position-wise feed-forward network, post- or pre-norm.

    Args:
        dim: Width of the tokens.
        mlp_dim: Inner width of the feed-forward network.
        attention: The attention layer.
        dropout: Probability of dropping a value after the attention, the GELU and the second
            linear layer, as in torch.nn.TransformerEncoderLayer.
        norm_first: See TransformerProjectionHead.
        residual_scale: See TransformerProjectionHead.
    """

    def __init__(
        self,
        dim: int,
        mlp_dim: int,
        attention: BatchAttention,
        *,
        dropout: float = 0.0,
        norm_first: bool = False,
        residual_scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.norm_first = norm_first
        self.residual_scale = residual_scale
        self.attention = attention
        self.attention_norm = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(
            nn.Linear(dim, mlp_dim),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(mlp_dim, dim),
            nn.Dropout(dropout),
        )
        self.mlp_norm = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)

    def start_as_identity(self) -> None:
        """Set the last layer of both branches to zero (pre-norm: the block passes x on)."""
        for last in (self.attention.to_out, self.mlp[3]):
            for parameter in last.parameters():
                nn.init.zeros_(parameter)

    def forward(
        self, x: Tensor, attn_mask: Tensor | None = None, peers: Peers | None = None
    ) -> Tensor:
        """Map tokens (S, N, dim) to tokens (S, N, dim).

        Args:
            x: Tokens of this process.
            attn_mask: As in BatchAttention.
            peers: The processes to whose tokens to attend; None for this one's only.
        """
        if self.norm_first:
            x = self._add(x, self.dropout(self._mix(self.attention_norm(x), attn_mask, peers)))
            x = self._add(x, self.mlp(self.mlp_norm(x)))
        else:
            x = self.attention_norm(self._add(x, self.dropout(self._mix(x, attn_mask, peers))))
            x = self.mlp_norm(self._add(x, self.mlp(x)))
        return x

    def _add(self, x: Tensor, branch: Tensor) -> Tensor:
        return torch.add(x, branch, alpha=self.residual_scale)

    def _mix(self, x: Tensor, attn_mask: Tensor | None, peers: Peers | None) -> Tensor:
        # Tokens travel, and each process computes the keys and values of all of them: hidden_dim
        # numbers a token and layer, where keys and values would be 2 * num_heads * head_dim (128
        # against 1024 in the small head), for as much processor time. Gathering once, before the
        # first layer, moves less still, but then each process runs the head on every token.
        gathered = None if peers is None else peers.gather(x)
        mixed: Tensor = self.attention(x, attn_mask, gathered)
        return mixed
