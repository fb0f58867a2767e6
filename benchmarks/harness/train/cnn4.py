"""The small convolutional backbone of Table 1, known to timm as "cnn4" once this is imported."""

from typing import Any

from timm.models import register_model
from torch import Tensor, nn

# The paper says "4-layer CNN" and no more; these widths cost less than the head behind them.
CHANNELS = (16, 32, 64, 128)


class CNN4(nn.Module):
    """Four 3x3 convolutions, each with stride 2, BatchNorm and ReLU, then the mean over positions.

    Images (N, 3, H, W) to features (N, 128).
    """

    num_features = CHANNELS[-1]

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in zip((3, *CHANNELS[:-1]), CHANNELS, strict=True):
            layers += [
                nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
            ]
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """Features (N, 128) of images (N, 3, H, W)."""
        features: Tensor = self.layers(images).mean(dim=(2, 3))
        return features


@register_model
def cnn4(pretrained: bool = False, num_classes: int = 0, **_: Any) -> CNN4:
    """Build it for timm.create_model, without weights or a classifier.

    Raises:
        ValueError: If weights or a classifier are asked for.
    """
    if pretrained or num_classes:
        raise ValueError(
            f"cnn4 has neither weights nor a classifier; pretrained={pretrained} and "
            f"num_classes={num_classes} must be False and 0."
        )
    return CNN4()
