"""VICReg as a LightningModule, with any projection head."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

try:
    from lightly.loss import VICRegLoss
except ImportError as error:
    raise ImportError(
        "df_heads.integrations.vicreg needs lightly 1.6: pip install 'lightly>=1.6,<2'"
    ) from error
import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from df_heads._finite import check_not_negative
from df_heads.integrations.method.base import Method, Views
from df_heads.integrations.method.options import MethodOptions
from df_heads.presets import DEFAULT_HEAD

#: lightly's VICRegLoss adds it to the variances (Section 4.1: 0.0001).
EPSILON = 1e-4
MU = 25.0


class VICReg(Method):
    """VICReg (arXiv 2105.04906) with the projection head of your choice.

    >>> model = VICReg(backbone="resnet18", views="separate")
    >>> trainer.fit(model, dataloader)  # batches as lightly's VICRegTransform gives them
    >>> features = model(images)        # backbone features, (N, 512)

    There are no negatives and no teacher: what keeps the projections apart is the variance of each
    of their dimensions, and a covariance of zero between them. That wants wide projections. A head
    given by name has 2048 outputs, as in lightly's example (examples/pytorch_lightning/vicreg.py);
    the paper's expander has 8192: head_options={"output_dim": 8192}. The paper trains with LARS;
    here it is SGD, as for the other methods, so its learning rates do not carry over.

    Args:
        lambda_param: Weight of the invariance, the squared distance of an image's two projections
            (Section 4.2: 25).
        mu_param: Weight of the variance, which each dimension loses where its standard deviation
            is below 1 (Section 4.2: 25).
        nu_param: Weight of the covariance (Section 4.2: 1).
        gather_distributed: Take variance and covariance over the batch of all processes, not only
            this one's. The head attends to its own process's batch unless it gathers too, with
            head_options={"gather_distributed": True}; with both, R processes of N images train as
            one of R * N. All need equally many images (drop_last=True).

    Raises:
        ValueError: If a name is unknown or a number out of range.
    """

    least_batch = "the variance over the batch needs at least 2"
    head_defaults: Mapping[str, Any] = {"output_dim": 2048}

    def __init__(
        self,
        backbone: str | nn.Module = "resnet18",
        head: str | nn.Module = DEFAULT_HEAD,
        views: Views = "separate",
        *,
        lambda_param: float = 25.0,
        mu_param: float = MU,
        nu_param: float = 1.0,
        gather_distributed: bool = False,
        **options: Unpack[MethodOptions],
    ) -> None:
        super().__init__(backbone, head, views, **options)
        check_not_negative(lambda_param=lambda_param, mu_param=mu_param, nu_param=nu_param)
        self.gathers = gather_distributed
        self.criterion = VICRegLoss(
            lambda_param, mu_param, nu_param, gather_distributed=gather_distributed, eps=EPSILON
        )

    @classmethod
    def collapsed_loss(
        cls, batch_size: int | None, options: Mapping[str, Any]
    ) -> tuple[float, str] | None:
        """Mu (1 - sqrt(epsilon)): no distance, no covariance, and no variance."""
        mu = options.get("mu_param", MU)
        return mu * (1 - math.sqrt(EPSILON)), f"mu (1 - sqrt(epsilon)) of VICReg for mu = {mu:g}"

    def loss(self, views: Sequence[Tensor]) -> Tensor:
        """Equation 6 of two views, (N, 3, H, W) each."""
        z0, z1 = self.project([self(view) for view in views])
        # Sums over the batch apart: they need more than the 8 bits of bfloat16.
        with torch.autocast(z0.device.type, enabled=False):
            loss: Tensor = self.criterion(z0.float(), z1.float())
        return loss
