"""Barlow Twins as a LightningModule, with any projection head."""

from collections.abc import Mapping, Sequence
from typing import Any

try:
    from lightly.loss import BarlowTwinsLoss
    from lightly.utils.dist import gather, world_size
except ImportError as error:
    raise ImportError(
        "df_heads.integrations.barlowtwins needs lightly 1.6: pip install 'lightly>=1.6,<2'"
    ) from error
import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from df_heads._finite import check_not_negative
from df_heads.integrations.method.base import Method, Views
from df_heads.integrations.method.options import MethodOptions
from df_heads.presets import DEFAULT_HEAD


class BarlowTwins(Method):
    """Barlow Twins (arXiv 2103.03230) with the projection head of your choice.

    >>> model = BarlowTwins(backbone="resnet18", views="separate")
    >>> trainer.fit(model, dataloader)  # batches as lightly's BYOLTransform gives them
    >>> features = model(images)        # backbone features, (N, 512)

    The correlations over the batch between the dimensions of an image's two projections should be
    the identity: that keeps the projections apart, and wants many dimensions. A head given by name
    has 2048 outputs, as in lightly's example (examples/pytorch_lightning/barlowtwins.py); the
    paper's projector has 8192: head_options={"output_dim": 8192}. The paper trains with LARS; here
    it is SGD, as for the other methods, so its learning rates do not carry over.

    Args:
        lambda_param: Weight of the correlations between different dimensions (Section 3.2 of the
            paper, "Optimization": 5e-3).
        gather_distributed: Take the correlations over the batch of all processes, not only this
            one's, standardised over that batch too, as the authors' code does with synchronised
            BatchNorm. The head attends to its own process's batch unless it gathers too, with
            head_options={"gather_distributed": True}; with both, R processes of N images train as
            one of R * N. All need equally many images (drop_last=True).

    Raises:
        ValueError: If a name is unknown or a number out of range.
    """

    least_batch = "the correlation over the batch needs at least 2"
    head_defaults: Mapping[str, Any] = {"output_dim": 2048}

    def __init__(
        self,
        backbone: str | nn.Module = "resnet18",
        head: str | nn.Module = DEFAULT_HEAD,
        views: Views = "separate",
        *,
        lambda_param: float = 5e-3,
        gather_distributed: bool = False,
        **options: Unpack[MethodOptions],
    ) -> None:
        super().__init__(backbone, head, views, **options)
        check_not_negative(lambda_param=lambda_param)
        self.gathers = gather_distributed
        # lightly's own gathering would standardise each process's batch by itself.
        self.criterion = BarlowTwinsLoss(lambda_param)

    def loss(self, views: Sequence[Tensor]) -> Tensor:
        """Equation 1 of two views, (N, 3, H, W) each."""
        z0, z1 = self.project([self(view) for view in views])
        # Sums over the batch apart: they need more than the 8 bits of bfloat16.
        with torch.autocast(z0.device.type, enabled=False):
            z0, z1 = z0.float(), z1.float()
            if self.gathers and world_size() > 1:
                z0, z1 = torch.cat(gather(z0)), torch.cat(gather(z1))
            loss: Tensor = self.criterion(z0, z1)
        return loss
