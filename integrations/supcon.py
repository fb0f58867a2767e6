"""SupCon as a LightningModule, with any projection head."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

try:
    from lightly.models.utils import concat_all_gather
    from lightly.utils.dist import gather, rank, world_size
except ImportError as error:
    raise ImportError(
        "df_heads.integrations.supcon needs lightly 1.6: pip install 'lightly>=1.6,<2'"
    ) from error
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from typing_extensions import Unpack

from df_heads._finite import check_above_zero
from df_heads.integrations.method.base import Method, Views
from df_heads.integrations.method.options import MethodOptions
from df_heads.presets import DEFAULT_HEAD


class SupCon(Method):
    """SupCon (arXiv 2004.11362) with the projection head of your choice.

    >>> model = SupCon(backbone="resnet18", views="separate")
    >>> trainer.fit(model, dataloader)  # (views, labels, ...) as lightly's SimCLRTransform gives
    >>> features = model(images)        # backbone features, (N, 512)

    SimCLR with labels: the positives of a view are all views of its class. **The loss alone sees
    the labels.** The head gets features and nothing else, and whom a sample attends to does not
    depend on any label. What a head that mixes samples can still see is the company: batches that
    are drawn class by class tell it the class, so shuffle. The features are trained on labels;
    compare their accuracies with those of SupCon only.

    Args:
        temperature: Divides the cosine similarities (Section 4 of the paper: 0.1).
        gather_distributed: Take positives and negatives of all processes, not only this one's, in
            the loss. The head attends to its own process's batch unless it gathers too, with
            head_options={"gather_distributed": True}; with both, R processes of N images train as
            one of R * N. All need equally many images (drop_last=True).

    Raises:
        ValueError: If a name is unknown or a number out of range.
    """

    least_batch = "a contrastive loss needs at least 2, for a negative"
    uses_labels = True

    def __init__(
        self,
        backbone: str | nn.Module = "resnet18",
        head: str | nn.Module = DEFAULT_HEAD,
        views: Views = "separate",
        *,
        temperature: float = 0.1,
        gather_distributed: bool = False,
        **options: Unpack[MethodOptions],
    ) -> None:
        super().__init__(backbone, head, views, **options)
        check_above_zero(temperature=temperature)
        self.temperature = temperature
        self.gathers = gather_distributed

    @classmethod
    def collapsed_loss(
        cls, batch_size: int | None, options: Mapping[str, Any]
    ) -> tuple[float, str] | None:
        """log(2N - 1): a view is as similar to its class as to all others."""
        if batch_size is None:
            return None
        return math.log(
            2 * batch_size - 1
        ), f"log(2N - 1) of SupCon for a batch of N = {batch_size}"

    def loss_of_batch(self, batch: Any, views: Sequence[Tensor]) -> Tensor:
        """The loss of a batch (views, labels, ...)."""
        return self.loss(views, labels_of(batch, len(views[0])))

    def loss(self, views: Sequence[Tensor], labels: Tensor | None = None) -> Tensor:
        """Equation 2 (its mean over all views) of two views, (N, 3, H, W) each.

        Args:
            views: The two views.
            labels: (N,), integers.

        Raises:
            ValueError: If there are no labels.
        """
        if labels is None:
            raise ValueError("SupCon trains on labels: pass loss(views, labels), or use SimCLR.")
        z0, z1 = self.project([self(view) for view in views])
        # exp(1 / 0.1) apart: the logits need more than the 8 bits of bfloat16.
        with torch.autocast(z0.device.type, enabled=False):
            z = normalize(torch.cat([z0, z1]).float(), dim=1)
            return self._contrast(z, torch.cat([labels, labels]).to(z.device))

    def _contrast(self, z: Tensor, labels: Tensor) -> Tensor:
        """Each of these views, (2 N, d), among them all, or those of all processes."""
        others, their_labels, first = z, labels, 0
        if self.gathers and world_size() > 1:
            others, first = torch.cat(gather(z)), rank() * len(z)
            their_labels = concat_all_gather(labels)
        rows = torch.arange(len(z), device=z.device)
        itself = torch.zeros(len(z), len(others), dtype=torch.bool, device=z.device)
        itself[rows, first + rows] = True
        logits = (z @ others.T / self.temperature).masked_fill(itself, -math.inf)
        positive = (labels.unsqueeze(1) == their_labels) & ~itself
        log_likelihood = logits - logits.logsumexp(dim=1, keepdim=True)
        # Every view has its image's other one, at least.
        means = log_likelihood.masked_fill(~positive, 0).sum(dim=1) / positive.sum(dim=1)
        return -means.mean()


def labels_of(batch: Any, images: int) -> Tensor:
    """The labels of a batch (views, labels, ...), integers (N,).

    Raises:
        ValueError: If it has none.
    """
    labels = batch[1] if isinstance(batch, list | tuple) and len(batch) > 1 else None
    if not isinstance(labels, Tensor) or labels.is_floating_point() or labels.shape != (images,):
        found = type(labels).__name__
        if isinstance(labels, Tensor):
            found = f"a tensor of {labels.dtype} and shape {tuple(labels.shape)}"
        raise ValueError(
            f"SupCon trains on labels: a batch must be (views, labels, ...) with {images} integers "
            f"as labels, not {found}; use SimCLR without labels."
        )
    return labels
