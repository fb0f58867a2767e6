"""DINO as a LightningModule, with any projection head before its prototypes."""

from collections.abc import Mapping, Sequence
from typing import Any

try:
    from lightly.loss import DINOLoss
except ImportError as error:
    raise ImportError(
        "df_heads.integrations.dino needs lightly 1.6: pip install 'lightly>=1.6,<2'"
    ) from error
import torch
from torch import Tensor, nn
from torch.nn.functional import linear, normalize
from typing_extensions import Unpack

from df_heads._finite import check_above_zero, check_below_one, check_counts
from df_heads.integrations.method.base import Views
from df_heads.integrations.method.momentum import MomentumMethod, rising_to_1
from df_heads.integrations.method.options import MethodOptions
from df_heads.presets import DEFAULT_HEAD


class Prototypes(nn.Module):
    """Cosines of projections with prototypes: DINO's last layer, its weights normalised.

    As lightly's DINOProjectionHead(norm_last_layer=True) has it behind its bottleneck.

    Args:
        dim: Width of a projection.
        count: Number of prototypes.
    """

    def __init__(self, dim: int, count: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(nn.Linear(dim, count, bias=False).weight.detach())

    def forward(self, projections: Tensor) -> Tensor:
        """From projections (N, dim) to cosines (N, count)."""
        return linear(normalize(projections, dim=1), normalize(self.weight, dim=1))


class DINO(MomentumMethod):
    """DINO (arXiv 2104.14294) with the projection head of your choice.

    >>> model = DINO(backbone="vit_tiny_patch16_224", views="separate")
    >>> trainer.fit(model, dataloader)  # lightly's DINOTransform(n_local_views=0) gives its batches
    >>> features = model(images)        # backbone features, (N, 192)

    The head stands in place of the paper's MLP, before the prototypes; a head given by name has
    256 outputs, the paper's bottleneck (Appendix C). It takes the two global views. **There is no
    multi-crop:** to a head that attends over the batch the crops of another size would be sequences
    of their own, so a batch with more than two views is refused. The paper trains with AdamW, and a
    rising weight decay; here it is SGD, as for the other methods, so its rates do not carry over.

    Args:
        views: Student and teacher each have sequences of their own.
        teacher_momentum: This is the first; it rises to 1 over the run by a cosine (Section 3.1:
            0.996).
        num_prototypes: Outputs of the last layer (Section 3.1 and Appendix C: 65536; lightly's
            example: 2048).
        student_temp: Temperature of the student's softmax (Section 3.2: 0.1).
        teacher_temp: Temperature of the teacher's (default of the authors' main_dino.py: 0.04,
            which its help recommends to start with; the paper's raises it to 0.07 over 30 epochs).
        center_momentum: Momentum of the centre of the teacher's outputs (Appendix D: 0.9).
        freeze_last_layer: Epochs in which the prototypes stay as they are (default of the authors'
            main_dino.py: 1).

    Raises:
        ValueError: If a name is unknown or a number out of range.
    """

    least_batch = "BatchNorm and heads that mix samples need at least 2"
    head_defaults: Mapping[str, Any] = {"output_dim": 256}
    gathers = True

    def __init__(
        self,
        backbone: str | nn.Module = "resnet18",
        head: str | nn.Module = DEFAULT_HEAD,
        views: Views = "separate",
        *,
        teacher_momentum: float = 0.996,
        num_prototypes: int = 65536,
        student_temp: float = 0.1,
        teacher_temp: float = 0.04,
        center_momentum: float = 0.9,
        freeze_last_layer: int = 1,
        **options: Unpack[MethodOptions],
    ) -> None:
        super().__init__(backbone, head, views, teacher_momentum=teacher_momentum, **options)
        check_counts(num_prototypes=num_prototypes)
        check_above_zero(student_temp=student_temp, teacher_temp=teacher_temp)
        check_below_one(center_momentum=center_momentum)
        if isinstance(freeze_last_layer, bool) or not (
            isinstance(freeze_last_layer, int) and freeze_last_layer >= 0
        ):
            raise ValueError(
                f"freeze_last_layer={freeze_last_layer!r} must be a whole number of at least 0."
            )
        self.freeze_last_layer = freeze_last_layer
        with self.own_random_stream():
            self.prototypes = Prototypes(self.projection_dim, num_prototypes)
        self.teacher.follow("prototypes", self.prototypes)
        self.criterion = DINOLoss(
            num_prototypes,
            warmup_teacher_temp=teacher_temp,
            teacher_temp=teacher_temp,
            student_temp=student_temp,
            center_momentum=center_momentum,
        )

    @classmethod
    def short_run_options(cls, batch_size: int) -> dict[str, Any]:
        """A teacher that follows faster, and the prototypes of lightly's example."""
        return {"teacher_momentum": 0.97, "num_prototypes": 2048}

    def loss(self, views: Sequence[Tensor]) -> Tensor:
        """Equation 3 of two views, (N, 3, H, W) each; moves the centre (Equation 4)."""
        student = [self.prototypes(z) for z in self.project([self(view) for view in views])]
        their_prototypes = self.teacher.get_submodule("prototypes")
        with torch.no_grad():
            teacher = [their_prototypes(z) for z in self.teacher_projections(views)]
        # exp(1 / 0.04) apart: the logits need more than the 8 bits of bfloat16.
        with torch.autocast(student[0].device.type, enabled=False):
            loss: Tensor = self.criterion(
                [t.float() for t in teacher], [s.float() for s in student]
            )
        return loss

    def on_after_backward(self) -> None:
        """Lightning calls this after every backward pass: early ones leave the prototypes."""
        if self.current_epoch < self.freeze_last_layer:
            self.prototypes.weight.grad = None

    def trained_modules(self) -> list[nn.Module]:
        """Backbone, projection head and prototypes."""
        return [*super().trained_modules(), self.prototypes]

    def momentum_at(self, step: int, steps: int) -> float:
        """From teacher_momentum to 1 by a cosine (Section 3.1)."""
        return rising_to_1(self.teacher_momentum, step, steps)
