"""Multi-head attention whose sequence is the batch."""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from df_heads.gathering import GatheredTokens

AttentionMode = Literal["softmax", "tied", "self", "uniform"]

# CLIP and cosine-similarity transformers start near 10; Theorem 1 leaves the scale free.
TIED_INITIAL_SCALE = 10.0


class BatchAttention(nn.Module):
    r"""MultiHead(Q, K, V) of the paper's Equation 2, over the samples of a batch.

    .. math:: \mathrm{softmax}(Q K^\top / \sqrt{d_k}) V, \qquad Q, K, V = x W_Q, x W_K, x W_V

    computed by ``scaled_dot_product_attention``, so the N x N weights are never stored when a
    fused kernel is available. Nothing marks a token's position, hence the layer is
    permutation-equivariant.

    Args:
        dim: Width of the tokens.
        num_heads: Number of attention heads.
        head_dim: Width of one head; the inner width is ``num_heads * head_dim`` whatever ``dim``.
        dropout: Probability of dropping an attention weight in training.
        sequence_length: Cut the tokens into consecutive sequences of this many, the last one
            shorter; None keeps them in one.
        attention: "softmax"; "tied" (one projection for queries and keys, compared by cosine with
            a learned scale per head: W_Q = W_K as in Theorem 1); "self" (each token sees itself
            only) or "uniform" (all visible tokens weigh the same), which hold the parameters of
            "softmax" and are its controls.
    """

    def __init__(
        self,
        dim: int,
        *,
        num_heads: int = 8,
        head_dim: int = 64,
        dropout: float = 0.0,
        sequence_length: int | None = None,
        attention: AttentionMode = "softmax",
    ) -> None:
        super().__init__()
        if attention not in get_args(AttentionMode):
            known = ", ".join(repr(mode) for mode in get_args(AttentionMode))
            raise ValueError(f"attention={attention!r} is not known; choose one of {known}.")
        self.num_heads = num_heads
        self.head_dim = head_dim
        self.dropout = dropout
        self.sequence_length = sequence_length
        self.attention = attention
        inner_dim = num_heads * head_dim
        projections = 2 if attention == "tied" else 3
        # No bias, as in Vaswani et al. 2017, Section 3.2.2.
        self.to_qkv = nn.Linear(dim, projections * inner_dim, bias=False)
        self.to_out = nn.Linear(inner_dim, dim)
        self.softmax_scale = head_dim**-0.5
        if attention == "tied":
            self.softmax_scale = 1.0
            self.cosine_scale = nn.Parameter(torch.full((num_heads,), TIED_INITIAL_SCALE))

    def forward(
        self,
        x: Tensor,
        attn_mask: Tensor | None = None,
        gathered: GatheredTokens | None = None,
    ) -> Tensor:
        """Mix the tokens of each sequence.

        Args:
            x: Tokens, (S, N, dim).
            attn_mask: Bool, (N, N) or (S, N, N); True = query i may attend to key j. A query
                that may attend to nothing receives zero. (N, M) or (S, N, M) with `gathered`.
            gathered: The M tokens of all processes, x among them, to attend to in place of x.
                They hold the sequences that `sequence_length` cuts. "self" takes none.

        Returns:
            (S, N, dim).
        """
        q, k, v = self.project(x, gathered)
        if self.attention == "self":
            mixed = self._keep_own_value(v, attn_mask)
        elif gathered is None:
            mixed = self._attend_in_sequences((q, k, v), attn_mask)
        else:
            mixed = self._attend_across_processes((q, k, v), attn_mask, gathered.own)
        out: Tensor = self.to_out(rearrange(mixed, "s h n d -> s n (h d)"))
        return out

    def project(
        self, x: Tensor, gathered: GatheredTokens | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, each (S, num_heads, N, head_dim).

        softmax(softmax_scale * q k^T) is the attention; "self" keeps its diagonal only. With
        `gathered`, keys and values are those of its M tokens.
        """
        if gathered is None:
            parts = self._by_head(self.to_qkv(x))
            q, k, v = parts[0], parts[-2], parts[-1]
        else:
            # Only the peers need their queries. "tied" has one projection for queries and keys.
            weight, inner_dim = self.to_qkv.weight, self.num_heads * self.head_dim
            q = self._by_head(F.linear(x, weight[:inner_dim]))[0]
            k, v = self._by_head(F.linear(gathered.tokens, weight[-2 * inner_dim :]))
        if self.attention == "tied":
            k = F.normalize(k, dim=-1)
            direction = k if gathered is None else F.normalize(q, dim=-1)
            return direction * self.cosine_scale[:, None, None], k, v
        if self.attention == "uniform":
            return torch.zeros_like(q), k, v
        return q, k, v

    def _by_head(self, projected: Tensor) -> Tensor:
        return rearrange(projected, "s n (p h d) -> p s h n d", h=self.num_heads, d=self.head_dim)

    @torch.no_grad()
    def attention_weights(
        self,
        x: Tensor,
        attn_mask: Tensor | None = None,
        gathered: GatheredTokens | None = None,
        *,
        heads: Sequence[int] | None = None,
    ) -> Tensor:
        """The weights with which forward mixes the values, written out, without gradients.

        They are those before dropout, computed apart from forward and of no effect on it.

        Args:
            x: Tokens, (S, N, dim).
            attn_mask: As for forward.
            gathered: As for forward.
            heads: Indices of the heads wanted, in that order; None for all.

        Returns:
            (S, heads, N, N), float32, or float64 for float64 tokens. Row i holds what token i
            gives to each token and sums to 1; it is 0 if token i may attend to nothing. (S,
            heads, N, M) with `gathered`.
        """
        chosen = slice(None) if heads is None else list(heads)
        q, k, v = self.project(x, gathered)
        # The fused kernels take all three in one dtype, and sum and normalise in float32.
        wide = torch.promote_types(v.dtype, torch.float32)
        q, k = (t[:, chosen].to(v.dtype).to(wide) for t in (q, k))
        with torch.autocast(x.device.type, enabled=False):
            scores = (self.softmax_scale * q) @ k.mT
        own = slice(0, x.shape[-2]) if gathered is None else gathered.own
        hidden = ~self._visible(k, own, attn_mask)
        weights: Tensor = scores.masked_fill_(hidden, -torch.inf).softmax(dim=-1)
        # The softmax of a row that sees nothing is 0 / 0.
        return weights.masked_fill_(hidden, 0.0)

    def _visible(self, k: Tensor, own: slice, attn_mask: Tensor | None) -> Tensor:
        """True where token i of `own` weighs token j: (N, M), or (S, 1, N, M) for S masks."""
        tokens = torch.arange(k.shape[-2], device=k.device)
        length = 1 if self.attention == "self" else self.sequence_length or len(tokens)
        sequence = tokens // length
        visible = sequence[own, None] == sequence
        if attn_mask is not None:
            visible = visible & attn_mask
        return visible if visible.dim() == 2 else visible.unsqueeze(1)

    def _keep_own_value(self, v: Tensor, attn_mask: Tensor | None) -> Tensor:
        # The softmax over one visible token is 1, so the attention output is the token's value.
        if attn_mask is not None:
            visible = attn_mask.diagonal(dim1=-2, dim2=-1)
            v = v * rearrange(visible, "... n -> ... 1 n 1")
        if self.training and self.dropout > 0:
            v = v * F.dropout(torch.ones_like(v[..., :1]), self.dropout)
        return v

    def _attend_in_sequences(self, qkv: Sequence[Tensor], attn_mask: Tensor | None) -> Tensor:
        (sequences, _, tokens, _), length = qkv[0].shape, self.sequence_length
        if length is None:
            return self._attend(qkv, attn_mask)
        if _is_open(tokens):
            # torch.export leaves their number open: one path for all numbers, at the cost of N * N.
            return self._attend(qkv, self._visible(qkv[1], slice(None), attn_mask))
        if tokens <= length:
            return self._attend(qkv, attn_mask)
        # The shorter last sequence attends by itself: exact, and the full ones need no padding
        # mask, which would rule out the fused kernels.
        full = tokens - tokens % length
        cut = [rearrange(t[..., :full, :], "s h (g l) d -> (s g) h l d", l=length) for t in qkv]
        blocks = None
        if attn_mask is not None:
            blocks = _diagonal_blocks(attn_mask, full, length, sequences)
        mixed = rearrange(self._attend(cut, blocks), "(s g) h l d -> s h (g l) d", s=sequences)
        if full == tokens:
            return mixed
        rest = [t[..., full:, :] for t in qkv]
        corner = None if attn_mask is None else attn_mask[..., full:, full:]
        return torch.cat([mixed, self._attend(rest, corner)], dim=-2)

    def _attend_across_processes(
        self, qkv: Sequence[Tensor], attn_mask: Tensor | None, own: slice
    ) -> Tensor:
        q, k, v = qkv
        length = self.sequence_length or k.shape[-2]
        mixed = []
        # This process's queries may start in the middle of a sequence and end in the middle of
        # another; the keys are whole sequences.
        for start in range(own.start - own.start % length, own.stop, length):
            keys = slice(start, start + length)
            queries = slice(max(start - own.start, 0), min(keys.stop, own.stop) - own.start)
            seen = None if attn_mask is None else attn_mask[..., queries, keys]
            parts = (q[..., queries, :], k[..., keys, :], v[..., keys, :])
            mixed.append(self._attend(parts, seen))
        return torch.cat(mixed, dim=-2)

    def _attend(self, qkv: Sequence[Tensor], attn_mask: Tensor | None) -> Tensor:
        if attn_mask is not None and attn_mask.dim() == 3:
            attn_mask = attn_mask.unsqueeze(1)
        q, k, v = qkv
        dropout = self.dropout if self.training else 0.0
        return F.scaled_dot_product_attention(
            q, k, v, attn_mask=attn_mask, dropout_p=dropout, scale=self.softmax_scale
        )


def _is_open(size: object) -> bool:
    """Whether torch.export leaves it open."""
    return isinstance(size, torch.SymInt)


def _diagonal_blocks(attn_mask: Tensor, full: int, length: int, sequences: int) -> Tensor:
    """The (length, length) blocks on the diagonal of the first `full` tokens: (S * G, l, l)."""
    inside = attn_mask[..., :full, :full].expand(sequences, full, full)
    grid = rearrange(inside, "s (g l) (h m) -> s l m g h", l=length, m=length)
    return rearrange(grid.diagonal(dim1=-2, dim2=-1), "s l m g -> (s g) l m")
