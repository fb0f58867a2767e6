"""SimSiam as a LightningModule, with any projection head."""

from collections.abc import Mapping, Sequence
from typing import Any

try:
    from lightly.loss import NegativeCosineSimilarity
    from lightly.models.modules import SimSiamPredictionHead
except ImportError as error:
    raise ImportError(
        "df_heads.integrations.simsiam needs lightly 1.6: pip install 'lightly>=1.6,<2'"
    ) from error
import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from df_heads._finite import check_counts
from df_heads.integrations.method.base import Method, Views
from df_heads.integrations.method.options import MethodOptions
from df_heads.presets import DEFAULT_HEAD


class SimSiam(Method):
    """SimSiam (arXiv 2011.10566) with the projection head of your choice.

    >>> model = SimSiam(backbone="resnet18", views="separate")
    >>> trainer.fit(model, dataloader)  # batches as lightly's SimSiamTransform gives them
    >>> features = model(images)        # backbone features, (N, 512)

    The prediction head stays the paper's MLP with BatchNorm. A head given by name has 2048 outputs,
    the paper's d (Section 3, "Baseline settings"), of which the prediction head's hidden layer is a
    quarter. The paper's projection head ends in a BatchNorm, ours does not; without it the paper's
    was as good within a point (Table 3, "hidden-only").

    Args:
        views: The prediction head's BatchNorm takes its statistics over what `views` names, too.
        prediction_hidden_dim: Hidden width of the prediction head (Section 3: 512).

    Raises:
        ValueError: If a name is unknown or a number out of range.
    """

    least_batch = "the BatchNorm of SimSiam's prediction head needs at least 2, for its statistics"
    head_defaults: Mapping[str, Any] = {"output_dim": 2048}

    def __init__(
        self,
        backbone: str | nn.Module = "resnet18",
        head: str | nn.Module = DEFAULT_HEAD,
        views: Views = "separate",
        *,
        prediction_hidden_dim: int = 512,
        **options: Unpack[MethodOptions],
    ) -> None:
        super().__init__(backbone, head, views, **options)
        check_counts(prediction_hidden_dim=prediction_hidden_dim)
        width = self.measure_projection_dim()
        with self.own_random_stream():
            self.prediction_head = SimSiamPredictionHead(width, prediction_hidden_dim, width)
        self.criterion = NegativeCosineSimilarity()

    def loss(self, views: Sequence[Tensor]) -> Tensor:
        """Equation 2 of two views, (N, 3, H, W) each, with the gradient stopped as in Equation 4.

        From -1, predictions and projections parallel, to 1.
        """
        projections = self.project([self(view) for view in views])
        p0, p1 = self.project(projections, self.prediction_head)
        z0, z1 = (z.detach() for z in projections)
        with torch.autocast(p0.device.type, enabled=False):
            forth: Tensor = self.criterion(p0.float(), z1.float())
            back: Tensor = self.criterion(p1.float(), z0.float())
        return (forth + back) / 2

    def trained_modules(self) -> list[nn.Module]:
        """Backbone, projection head and prediction head."""
        return [*super().trained_modules(), self.prediction_head]
