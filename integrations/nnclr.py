"""NNCLR as a LightningModule, with any projection head."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

try:
    from lightly.models.modules import NNCLRPredictionHead
    from lightly.utils.dist import gather, rank, world_size
except ImportError as error:
    raise ImportError(
        "df_heads.integrations.nnclr needs lightly 1.6: pip install 'lightly>=1.6,<2'"
    ) from error
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize
from typing_extensions import Unpack

from df_heads._finite import check_above_zero, check_counts
from df_heads.integrations.method.base import Method, Views
from df_heads.integrations.method.key_queue import KeyQueue, check_queue_size
from df_heads.integrations.method.options import MethodOptions
from df_heads.presets import DEFAULT_HEAD


class NNCLR(Method):
    """NNCLR (arXiv 2104.14548) with the projection head of your choice.

    >>> model = NNCLR(backbone="resnet18", views="separate")
    >>> trainer.fit(model, dataloader)  # batches as lightly's SimCLRTransform gives them
    >>> features = model(images)        # backbone features, (N, 512)

    The positive of an image is not its other view but that view's nearest neighbour among the
    projections of earlier batches, the support set. It is part of the checkpoint, and gets the
    first view's projections after each backward pass, those of all processes, so that it is the
    same in each. A head given by name has 256 outputs (Section 3.4).

    Args:
        views: The prediction head's BatchNorm takes its statistics over what `views` names, too.
        temperature: Divides the cosine similarities (Section 4.1: 0.1).
        queue_size: Size of the support set (Section 4.1: 98304, for 1.3 million images; lightly's
            example: 4096). Must hold the N projections of a step.
        prediction_hidden_dim: Hidden width of the prediction head (Section 3.4: 4096).
        gather_distributed: Take the negatives of all processes, not only this one's, in the loss.
            The head attends to its own process's batch unless it gathers too, with
            head_options={"gather_distributed": True}. All need equally many images
            (drop_last=True), with the option or without.

    Raises:
        ValueError: If a name is unknown or a number out of range.
    """

    least_batch = "a contrastive loss needs at least 2, for a negative"
    head_defaults: Mapping[str, Any] = {"output_dim": 256}
    gathers = True

    def __init__(
        self,
        backbone: str | nn.Module = "resnet18",
        head: str | nn.Module = DEFAULT_HEAD,
        views: Views = "separate",
        *,
        temperature: float = 0.1,
        queue_size: int = 4096,
        prediction_hidden_dim: int = 4096,
        gather_distributed: bool = False,
        **options: Unpack[MethodOptions],
    ) -> None:
        super().__init__(backbone, head, views, **options)
        check_above_zero(temperature=temperature)
        check_counts(prediction_hidden_dim=prediction_hidden_dim)
        check_queue_size(queue_size, 2, "the projections of a batch of 2 images")
        self.temperature = temperature
        self.gather_distributed = gather_distributed
        width = self.measure_projection_dim()
        with self.own_random_stream():
            self.prediction_head = NNCLRPredictionHead(width, prediction_hidden_dim, width)
            self.queue = KeyQueue(queue_size, width)
        self._newest = torch.empty(0, width)

    @classmethod
    def short_run_options(cls, batch_size: int) -> dict[str, Any]:
        """A support set that few images renew within an epoch or so."""
        return {"temperature": 0.1, "queue_size": min(4096, 16 * batch_size)}

    @classmethod
    def collapsed_loss(
        cls, batch_size: int | None, options: Mapping[str, Any]
    ) -> tuple[float, str] | None:
        """log(N): a neighbour is as similar to its prediction as to all others."""
        if batch_size is None:
            return None
        return math.log(batch_size), f"log(N) of NNCLR for a batch of N = {batch_size}"

    def loss(self, views: Sequence[Tensor]) -> Tensor:
        """Equation 3 in both directions (Algorithm 1) of two views, (N, 3, H, W) each.

        Leaves the support set as it is; `enqueue_projections` puts this batch's into it.
        """
        projections = self.project([self(view) for view in views])
        p0, p1 = self.project(projections, self.prediction_head)
        self._newest = projections[0].detach()
        # exp(1 / 0.1) apart: the logits need more than the 8 bits of bfloat16.
        with torch.autocast(p0.device.type, enabled=False):
            n0, n1 = (self.neighbors(z) for z in projections)
            forth, back = self._contrast(n0, p1.float()), self._contrast(n1, p0.float())
        return (forth + back) / 2

    @torch.no_grad()
    def neighbors(self, projections: Tensor) -> Tensor:
        """Of each projection, (N, d), the most similar of the support set, normalised."""
        support = self.queue.keys.float()
        nearest = (normalize(projections.float(), dim=1) @ support.T).argmax(dim=1)
        return support[nearest]

    def _contrast(self, neighbors: Tensor, predictions: Tensor) -> Tensor:
        first = 0
        if self.gather_distributed and world_size() > 1:
            first = rank() * len(predictions)
            predictions = torch.cat(gather(predictions))
        logits = neighbors @ normalize(predictions, dim=1).T / self.temperature
        own = torch.arange(first, first + len(neighbors), device=logits.device)
        return cross_entropy(logits, own)

    def check_batch_size(self, images: int, processes: int = 1) -> None:
        """As Method's; the support set must hold the projections of one step, too."""
        super().check_batch_size(images, processes)
        size = len(self.queue.keys)
        if images * processes > size:
            raise ValueError(
                f"queue_size={size} cannot hold the {images * processes} projections of one step; "
                "use a larger queue or a smaller batch."
            )

    def on_after_backward(self) -> None:
        """Lightning calls this after every backward pass, which still needed the support set."""
        self.enqueue_projections()

    def enqueue_projections(self) -> None:
        """Put the first view's projections of the last loss into the support set."""
        self.queue.enqueue_everywhere(self._newest)

    def trained_modules(self) -> list[nn.Module]:
        """Backbone, projection head and prediction head."""
        return [*super().trained_modules(), self.prediction_head]
