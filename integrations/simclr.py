"""SimCLR as a LightningModule, with any projection head."""

import math
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from df_heads._finite import check_above_zero
from df_heads.integrations.method.attention_masks import (
    PartnerMask,
    check_maskable,
    check_streams,
    project_alone,
)
from df_heads.integrations.method.base import Method, Views
from df_heads.integrations.method.options import MethodOptions
from df_heads.nt_xent import ChunkedNTXentLoss
from df_heads.presets import DEFAULT_HEAD


class SimCLR(Method):
    """SimCLR (arXiv 2002.05709) with the projection head of your choice.

    >>> model = SimCLR(backbone="resnet18", views="separate")
    >>> trainer.fit(model, dataloader)  # batches as lightly's SimCLRTransform gives them
    >>> features = model(images)        # backbone features, (N, 512)

    Args:
        temperature: Temperature of NT-Xent (Equation 1; paper, "Hyperparameters": 0.2).
        gather_distributed: Take the negatives of all processes, not only this one's, in the loss.
            The head attends to its own process's batch unless it gathers too, with
            head_options={"gather_distributed": True}; with both, R processes of N images train as
            one of R * N. All need equally many images (drop_last=True).
        mask_partner: With views="joint", forbid each token to attend to the other view of its own
            image, which it could copy to lower the loss without better features. Needs a head
            that takes attn_mask, in one sequence of one process.
        streams: 2 projects with the same head twice, with mixing and with every sample by itself
            (attention="self"), and takes the mean loss over the four pairs of a projection of
            the first view and one of the second, so that the features must be good with and
            without mixing (BatchFormer, arXiv 2203.01522). The backbone runs once. 1 is the
            paper's.
        loss_chunk_size: Rows of the similarities that NT-Xent holds at a time; results depend on
            it by rounding only. The loss is df_heads.nt_xent.ChunkedNTXentLoss: the value and the
            gradients of lightly's NTXentLoss, in memory that does not grow with the square of
            the batch, and without its boolean masks, for which a GPU must wait.

    Raises:
        ValueError: If a name is unknown, a number out of range, or the head cannot do what
            mask_partner or streams asks for.
    """

    least_batch = "a contrastive loss needs at least 2, for a negative"

    def __init__(
        self,
        backbone: str | nn.Module = "resnet18",
        head: str | nn.Module = DEFAULT_HEAD,
        views: Views = "separate",
        *,
        temperature: float = 0.2,
        gather_distributed: bool = False,
        mask_partner: bool = False,
        streams: int = 1,
        loss_chunk_size: int = 1024,
        **options: Unpack[MethodOptions],
    ) -> None:
        super().__init__(backbone, head, views, **options)
        check_above_zero(temperature=temperature)
        if mask_partner:
            check_maskable(views, self.projection_head)
        check_streams(streams, self.projection_head)
        self.gathers = gather_distributed
        self.streams = streams
        self.partner_mask = PartnerMask() if mask_partner else None
        self.criterion: nn.Module = ChunkedNTXentLoss(
            temperature, chunk_size=loss_chunk_size, gather_distributed=gather_distributed
        )

    def project(self, features: Sequence[Tensor], head: nn.Module | None = None) -> list[Tensor]:
        """See Method; with mask_partner, no token attends to the other view of its image."""
        if self.partner_mask is None:
            return super().project(features, head)
        head = self.projection_head if head is None else head
        mask = self.partner_mask(len(features[0]), features[0].device)
        joined: Tensor = head(torch.cat(list(features)), attn_mask=mask)
        return list(joined.chunk(len(features)))

    @classmethod
    def short_run_options(cls, batch_size: int) -> dict[str, Any]:
        """The temperature, which a run's record should name."""
        return {"temperature": 0.2}

    @classmethod
    def collapsed_loss(
        cls, batch_size: int | None, options: Mapping[str, Any]
    ) -> tuple[float, str] | None:
        """log(2N - 1): a view is as similar to its partner as to all others."""
        if batch_size is None:
            return None
        return math.log(
            2 * batch_size - 1
        ), f"log(2N - 1) of NT-Xent for a batch of N = {batch_size}"

    def loss(self, views: Sequence[Tensor]) -> Tensor:
        """NT-Xent (Equation 1) of two views, (N, 3, H, W) each."""
        features = self(torch.cat(list(views))).chunk(2)
        streams = [self.project(features)]
        if self.streams == 2:
            streams.append(project_alone(self.projection_head, features))
        # exp(1 / 0.2) apart: the logits need more than the 8 bits of bfloat16.
        with torch.autocast(features[0].device.type, enabled=False):
            first, second = ([z.float() for z in view] for view in zip(*streams, strict=True))
            losses = [self.criterion(z0, z1) for z0, z1 in product(first, second)]
            return torch.stack(losses).mean()
