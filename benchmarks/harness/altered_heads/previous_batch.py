"""Attention to the batch before, for what the presence of a sample's own batch gives."""

import torch
from torch import Tensor

from df_heads.benchmarks.harness.altered_heads.attentions import AlteredAttention
from df_heads.gathering import GatheredTokens


class PreviousBatch(AlteredAttention):
    """The tokens of the step before are attended to, in place of the batch's own.

    They are kept as they entered the layer, without gradients: other images, seen by slightly older
    weights. Sequence s attends to sequence s of the step before. The first step, which has none
    before it, attends to its own tokens, without gradients too. Only training moves the memory on.
    """

    _memory: Tensor | None = None

    def forward(
        self, x: Tensor, attn_mask: Tensor | None = None, gathered: GatheredTokens | None = None
    ) -> Tensor:
        """See BatchAttention.

        Raises:
            ValueError: If there is a mask, or tokens of other processes.
        """
        if attn_mask is not None or gathered is not None:
            raise ValueError(
                "PreviousBatch attends to the batch before, for which neither attn_mask nor "
                "gather_distributed has a meaning; leave them out."
            )
        now = x.detach()
        attended = now if self._memory is None else self._memory.to(x.device)
        if self.training:
            self._memory = now
        sequences = torch.arange(len(x), device=x.device) % len(attended)
        return super().forward(x, None, GatheredTokens(attended[sequences], slice(0, x.shape[-2])))

    def get_extra_state(self) -> Tensor:
        """The memory, for checkpoints; no token before the first step."""
        return torch.empty(0) if self._memory is None else self._memory

    def set_extra_state(self, state: Tensor) -> None:
        """Take up the memory of a checkpoint."""
        self._memory = state if len(state) else None
