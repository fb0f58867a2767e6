"""MoCo v2 as a LightningModule, with any projection head."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

try:
    from lightly.models.utils import batch_shuffle, batch_unshuffle
    from lightly.utils.dist import world_size
except ImportError as error:
    raise ImportError(
        "df_heads.integrations.moco needs lightly 1.6: pip install 'lightly>=1.6,<2'"
    ) from error
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize
from typing_extensions import Unpack

from df_heads._finite import check_above_zero
from df_heads.integrations.method.base import Views
from df_heads.integrations.method.key_queue import KeyQueue, check_queue_size
from df_heads.integrations.method.momentum import MomentumMethod
from df_heads.integrations.method.options import MethodOptions
from df_heads.presets import DEFAULT_HEAD


def info_nce(queries: Tensor, keys: Tensor, negatives: Tensor, temperature: float) -> Tensor:
    """InfoNCE (arXiv 1911.05722, Equation 1): each query's key among the negatives.

    Args:
        queries: (N, d).
        keys: (N, d), the positives, row by row.
        negatives: (K, d), normalised.
        temperature: Divides the cosine similarities.
    """
    queries, keys = normalize(queries, dim=1), normalize(keys, dim=1)
    positive = (queries * keys).sum(dim=1, keepdim=True)
    logits = torch.cat([positive, queries @ negatives.T], dim=1) / temperature
    return cross_entropy(logits, logits.new_zeros(len(logits), dtype=torch.long))


class MoCo(MomentumMethod):
    """MoCo v2 (arXiv 2003.04297) with the projection head of your choice.

    >>> model = MoCo(backbone="resnet18", views="separate")
    >>> trainer.fit(model, dataloader)  # batches as lightly's MoCoV2Transform gives them
    >>> features = model(images)        # backbone features, (N, 512)

    The loss is symmetric, as in the authors' CIFAR-10 demo and in MoCo v3: both views are queries
    and both are keys, so each network sees two views, and `views` means what it means in SimCLR.
    The keys of both views go into one queue, after the backward pass; with several processes
    those of all processes, so that the queue is the same in each.

    Args:
        views: Queries and keys come from different networks and never share a
            sequence.
        temperature: Temperature of InfoNCE (arXiv 2003.04297, Table 2 and its text: 0.2).
        queue_size: Number of keys to contrast with (paper: 65536, for 1.3 million images; the
            authors' CIFAR-10 demo: 4096, for 50,000). Must hold the 2 N keys of a step.
        teacher_momentum: It is constant (paper: 0.999; the CIFAR-10 demo: 0.99).
        shuffle_keys: With several processes, shuffle the images among them before the key
            backbone, so that its BatchNorm does not see the images of a query together (arXiv
            1911.05722, Section 3.3). The features are put back in order before the head, so that
            the sequences of keys are those of the queries. Without effect in one process.
        learning_rate: In short runs on small images the Transformer head collapsed at 0.3 (the loss
            stays at log(1 + queue_size)), and learned slowly below 0.1.

    Raises:
        ValueError: If a name is unknown or a number out of range.
    """

    least_batch = "BatchNorm and heads that mix samples need at least 2"
    gathers = True

    def __init__(
        self,
        backbone: str | nn.Module = "resnet18",
        head: str | nn.Module = DEFAULT_HEAD,
        views: Views = "separate",
        *,
        temperature: float = 0.2,
        queue_size: int = 4096,
        teacher_momentum: float = 0.999,
        shuffle_keys: bool = False,
        **options: Unpack[MethodOptions],
    ) -> None:
        super().__init__(backbone, head, views, teacher_momentum=teacher_momentum, **options)
        check_above_zero(temperature=temperature)
        check_queue_size(queue_size, 4, "the keys of a batch of 2 images")
        self.temperature = temperature
        self.shuffle_keys = shuffle_keys
        with self.own_random_stream():
            self.queue = KeyQueue(queue_size, self.projection_dim)
        self._keys: list[Tensor] = []

    @classmethod
    def short_run_options(cls, batch_size: int) -> dict[str, Any]:
        """A queue that few images renew within an epoch or so, and the CIFAR-10 demo's momentum."""
        size = min(4096, 16 * batch_size)
        return {"temperature": 0.2, "teacher_momentum": 0.99, "queue_size": size}

    @classmethod
    def collapsed_loss(
        cls, batch_size: int | None, options: Mapping[str, Any]
    ) -> tuple[float, str] | None:
        """log(1 + K): a key is as similar to its query as to all K of the queue."""
        size = options.get("queue_size")
        if not isinstance(size, int):
            return None
        return math.log(1 + size), f"log(1 + K) of InfoNCE for a queue of K = {size}"

    def loss(self, views: Sequence[Tensor]) -> Tensor:
        """InfoNCE of two views, (N, 3, H, W) each, the mean of both directions.

        Leaves the queue as it is; `enqueue_keys` puts this batch's keys into it.
        """
        q0, q1 = self.project([self(view) for view in views])
        k0, k1 = self._keys = self.teacher_projections(views)
        # exp(1 / 0.2) apart: the logits need more than the 8 bits of bfloat16.
        with torch.autocast(q0.device.type, enabled=False):
            negatives = self.queue.keys.float()
            forth = info_nce(q0.float(), k1.float(), negatives, self.temperature)
            back = info_nce(q1.float(), k0.float(), negatives, self.temperature)
        return (forth + back) / 2

    def teacher_features(self, images: Tensor) -> Tensor:
        """The key backbone's features (N, D), in the order of the images."""
        if not self.shuffle_keys or world_size() == 1:
            return super().teacher_features(images)
        shuffled, order = batch_shuffle(images, distributed=True)
        features: Tensor = batch_unshuffle(
            super().teacher_features(shuffled), order, distributed=True
        )
        return features

    def check_batch_size(self, images: int, processes: int = 1) -> None:
        """As Method's; the queue must hold the keys of one step, too."""
        super().check_batch_size(images, processes)
        keys, size = 2 * images * processes, len(self.queue.keys)
        if keys > size:
            raise ValueError(
                f"queue_size={size} cannot hold the {keys} keys of one step, 2 views of "
                f"{images * processes} images; use a larger queue or a smaller batch."
            )

    def on_after_backward(self) -> None:
        """Lightning calls this after every backward pass, which still needed the queue."""
        self.enqueue_keys()

    def enqueue_keys(self) -> None:
        """Put the keys of the last loss into the queue, those of all processes."""
        self.queue.enqueue_everywhere(torch.cat(self._keys))
