"""Attention over the batch with one thing changed, and the weights of the one it replaces."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from typing_extensions import Self

from df_heads.attention import BatchAttention
from df_heads.block import TransformerBlock
from df_heads.gathering import GatheredTokens


class AlteredAttention(BatchAttention):
    """What the others have in common: they take the place of a block's attention."""

    @classmethod
    def put_into(cls, block: TransformerBlock) -> nn.Module:
        """The same block with this attention, of the same sizes and with the same weights."""
        before = block.attention
        block.attention = cls._like(before)
        return block

    @classmethod
    def _like(cls, before: BatchAttention) -> Self:
        altered = cls(
            before.to_out.out_features,
            num_heads=before.num_heads,
            head_dim=before.head_dim,
            dropout=before.dropout,
            sequence_length=before.sequence_length,
            attention=before.attention,
        )
        for name, layer in before.named_children():
            altered.add_module(name, layer)
        for name, parameter in before.named_parameters(recurse=False):
            altered.register_parameter(name, parameter)
        return altered


class DetachedTokens(AlteredAttention):
    """No gradient reaches the tokens that are attended to; the projections learn as before.

    What a sample gives to the others is then never trained to be of use to them.
    """

    def forward(
        self, x: Tensor, attn_mask: Tensor | None = None, gathered: GatheredTokens | None = None
    ) -> Tensor:
        """See BatchAttention."""
        attended = GatheredTokens(x, slice(0, x.shape[-2])) if gathered is None else gathered
        detached = GatheredTokens(attended.tokens.detach(), attended.own)
        return super().forward(x, attn_mask, detached)


class StoppedWeights(AlteredAttention):
    """No gradient passes through the attention weights: whom to find is never learned.

    Queries and keys keep their first projections, but for weight decay.
    """

    def project(
        self, x: Tensor, gathered: GatheredTokens | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """See BatchAttention."""
        q, k, v = super().project(x, gathered)
        return q.detach(), k.detach(), v


class RandomKeys(AlteredAttention):
    """The keys are dealt out to the values by chance, anew in every forward and layer.

    The weights are as sharp as the softmax makes them, but whom they fall on is chance: one
    permutation for each sequence, the same for all its tokens and attention heads.
    """

    def project(
        self, x: Tensor, gathered: GatheredTokens | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """See BatchAttention."""
        q, k, v = super().project(x, gathered)
        order = torch.rand(k.shape[0], 1, k.shape[-2], 1, device=k.device).argsort(dim=-2)
        return q, k.take_along_dim(order, dim=-2), v


class HalfBatch(AlteredAttention):
    """Each token attends to its own half of the sequence only, the same in all layers.

    Training batches are shuffled, so these are random halves.
    """

    def forward(
        self, x: Tensor, attn_mask: Tensor | None = None, gathered: GatheredTokens | None = None
    ) -> Tensor:
        """See BatchAttention."""
        self.sequence_length = (x.shape[-2] + 1) // 2
        return super().forward(x, attn_mask, gathered)


class MostSimilar(AlteredAttention):
    """Each token attends to the 8 that it weighs most, in each attention head."""

    most = 8

    def _attend(self, qkv: Sequence[Tensor], attn_mask: Tensor | None) -> Tensor:
        q, k, _ = qkv
        scores = (q @ k.mT).detach()
        if attn_mask is not None:
            hidden = ~(attn_mask if attn_mask.dim() == 2 else attn_mask.unsqueeze(1))
            scores = scores.masked_fill(hidden, -torch.inf)
        best = scores.topk(min(self.most, k.shape[-2]), dim=-1).indices
        chosen = torch.zeros_like(scores, dtype=torch.bool).scatter_(-1, best, True)
        # What is hidden may be among the best where little else is visible.
        return super()._attend(qkv, chosen & (scores > -torch.inf))
