"""BYOL as a LightningModule, with any projection head."""

from collections.abc import Sequence
from typing import Any

try:
    from lightly.loss import NegativeCosineSimilarity
    from lightly.models.modules import BYOLPredictionHead
except ImportError as error:
    raise ImportError(
        "df_heads.integrations.byol needs lightly 1.6: pip install 'lightly>=1.6,<2'"
    ) from error
import torch
from torch import Tensor, nn
from typing_extensions import Unpack

from df_heads.integrations.method.base import Views
from df_heads.integrations.method.momentum import MomentumMethod, rising_to_1
from df_heads.integrations.method.options import MethodOptions
from df_heads.presets import DEFAULT_HEAD


class BYOL(MomentumMethod):
    """BYOL (arXiv 2006.07733) with the projection head of your choice.

    >>> model = BYOL(backbone="resnet18", views="separate")
    >>> trainer.fit(model, dataloader)  # batches as lightly's BYOLTransform gives them
    >>> features = model(images)        # backbone features, (N, 512)

    The prediction head stays the paper's MLP with BatchNorm. The paper trains with LARS; here it
    is SGD, as for the other methods, so its learning rates do not carry over.

    Args:
        views: Student and teacher each have sequences of their own; the prediction
            head's BatchNorm takes its statistics over what `views` names, too.
        teacher_momentum: This is the first; it rises to 1 over the run by a cosine (Section 3.3 and
            Appendix J: 0.996 for 1000 epochs; the reference code takes 0.99 for 100 and 0.97 for
            40).
        prediction_hidden_dim: Hidden width of the prediction head (Section 3.3: 4096).

    Raises:
        ValueError: If a name is unknown or a number out of range.
    """

    least_batch = "the BatchNorm of BYOL's prediction head needs at least 2, for its statistics"

    def __init__(
        self,
        backbone: str | nn.Module = "resnet18",
        head: str | nn.Module = DEFAULT_HEAD,
        views: Views = "separate",
        *,
        teacher_momentum: float = 0.996,
        prediction_hidden_dim: int = 4096,
        **options: Unpack[MethodOptions],
    ) -> None:
        super().__init__(backbone, head, views, teacher_momentum=teacher_momentum, **options)
        if prediction_hidden_dim < 1:
            raise ValueError(f"prediction_hidden_dim={prediction_hidden_dim} must be at least 1.")
        with self.own_random_stream():
            self.prediction_head = BYOLPredictionHead(
                self.projection_dim, prediction_hidden_dim, self.projection_dim
            )
        self.criterion = NegativeCosineSimilarity()

    @classmethod
    def short_run_options(cls, batch_size: int) -> dict[str, Any]:
        """The reference code's momentum for 40 epochs."""
        return {"teacher_momentum": 0.97}

    def loss(self, views: Sequence[Tensor]) -> Tensor:
        """Equation 2, and the same with the views exchanged, of two views, (N, 3, H, W) each.

        From 0, predictions and targets parallel, to 8.
        """
        projections = self.project([self(view) for view in views])
        p0, p1 = self.project(projections, self.prediction_head)
        z0, z1 = self.teacher_projections(views)
        with torch.autocast(p0.device.type, enabled=False):
            negative: Tensor = self.criterion(p0.float(), z1.float())
            negative = negative + self.criterion(p1.float(), z0.float())
        return 4 + 2 * negative

    def trained_modules(self) -> list[nn.Module]:
        """Backbone, projection head and prediction head."""
        return [*super().trained_modules(), self.prediction_head]

    def momentum_at(self, step: int, steps: int) -> float:
        """From teacher_momentum to 1 by a cosine (Section 3.3)."""
        return rising_to_1(self.teacher_momentum, step, steps)
