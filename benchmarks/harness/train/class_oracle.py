"""An oracle: SimCLR whose head is told the classes in training."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from df_heads.integrations.simclr import SimCLR


class ClassOracle(SimCLR):
    """SimCLR in which every token attends to the tokens of its own class and to no other.

    It bounds what attention that finds the class can do: no head without labels finds it better.
    The labels reach the network by the attention mask and by nothing else; the loss is SimCLR's.
    The head's forward must take attn_mask.
    """

    _same_class: Tensor

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """See Method; batches are (views, labels, ...), labels int64 (N,)."""
        labels = batch[1]
        self._same_class = labels[:, None] == labels
        return super().training_step(batch, batch_idx)

    def project(self, features: Sequence[Tensor], head: nn.Module | None = None) -> list[Tensor]:
        """See Method; with mask_partner, no token attends to the other view of its image either."""
        head = self.projection_head if head is None else head
        if self.views == "separate":
            return list(head(torch.stack(list(features)), attn_mask=self._same_class))
        mask = self._same_class.tile(len(features), len(features))
        if self.partner_mask is not None:
            mask &= self.partner_mask(len(features[0]), mask.device)
        joined: Tensor = head(torch.cat(list(features)), attn_mask=mask)
        return list(joined.chunk(len(features)))
