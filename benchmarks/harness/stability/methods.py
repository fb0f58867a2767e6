"""The methods of the short trainings: lightly's losses and heads, in lightly's manner."""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from lightly.loss import BarlowTwinsLoss, NegativeCosineSimilarity, NTXentLoss, VICRegLoss
from lightly.models.modules import heads
from lightly.models.utils import deactivate_requires_grad, update_momentum
from torch import Tensor, nn

from df_heads import FeedForwardProjectionHead, TransformerProjectionHead

# lightly's examples, with 512 for 2048, 128 for 512: the backbones are small.
WIDE = 512
NARROW = 128
TEACHER_MOMENTUM = 0.99
QUEUE_SIZE = 1024

_OWN: dict[str, Callable[[int], nn.Module]] = {
    "simclr": lambda width: heads.SimCLRProjectionHead(width, NARROW, NARROW),
    "moco": lambda width: heads.MoCoProjectionHead(width, NARROW, NARROW),
    "byol": lambda width: heads.BYOLProjectionHead(width, WIDE, NARROW),
    "vicreg": lambda width: heads.VICRegProjectionHead(width, WIDE, WIDE, num_layers=2),
    "barlowtwins": lambda width: heads.BarlowTwinsProjectionHead(width, WIDE, WIDE),
}
_OUTPUTS = {"vicreg": WIDE, "barlowtwins": WIDE}
_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "stable": {},
    "stable-scale1": {"residual_scale": 1.0},
    "stable-noinputnorm": {"input_norm": None},
    "paper": {"form": "paper"},
    "paper-prenorm": {"form": "paper", "norm_first": True},
    "paper-inputnorm": {"form": "paper", "input_norm": "batch"},
}


def build_head(name: str, method: str, width: int) -> nn.Module:
    """The head of recipe.HEADS or recipe.CANDIDATES on features of this width."""
    if name == "lightly":
        return _OWN[method](width)
    outputs = _OUTPUTS.get(method, NARROW)
    if name == "feedforward":
        return FeedForwardProjectionHead(width, output_dim=outputs)
    return TransformerProjectionHead(width, NARROW, outputs, **_OPTIONS[name])


class Trained(nn.Module):
    """Backbone and head with the loss of a method, as lightly's examples have them.

    Attributes:
        outputs: Projections of the first view in the last step, detached.
    """

    def __init__(self, method: str, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.method = method
        self.backbone = backbone
        self.head = head
        self.outputs = torch.empty(0)
        self.criterion: nn.Module = {
            "simclr": lambda: NTXentLoss(0.2),
            "moco": lambda: NTXentLoss(0.2, memory_bank_size=(QUEUE_SIZE, NARROW)),
            "byol": NegativeCosineSimilarity,
            "vicreg": VICRegLoss,
            "barlowtwins": BarlowTwinsLoss,
        }[method]()
        if method == "byol":
            self.predictor = heads.BYOLPredictionHead(NARROW, WIDE, NARROW)
        if method in ("byol", "moco"):
            self.teachers = nn.ModuleList([copy.deepcopy(backbone), copy.deepcopy(head)])
            deactivate_requires_grad(self.teachers)

    def loss(self, views: Sequence[Tensor]) -> Tensor:
        """The loss of two views."""
        first, second = (self.head(self.backbone(view)) for view in views)
        self.outputs = first.detach()
        if self.method in ("byol", "moco"):
            with torch.no_grad():
                backbone, head = self.teachers
                targets = [head(backbone(view)) for view in views]
        if self.method == "byol":
            pairs = ((first, targets[1]), (second, targets[0]))
            loss: Tensor = sum(self.criterion(self.predictor(z), t) for z, t in pairs) / 2
        elif self.method == "moco":
            loss = self.criterion(first, targets[1])
        else:
            loss = self.criterion(first, second)
        return loss

    def move_teachers(self) -> None:
        """To be called after the optimiser's step."""
        if self.method in ("byol", "moco"):
            for student, teacher in zip((self.backbone, self.head), self.teachers, strict=True):
                update_momentum(student, teacher, m=TEACHER_MOMENTUM)
