from typing import Any

import torch
from torch import nn

from df_heads.integrations.backbones import build_backbone


def dead_and_all_weights(name: str, size: int, **options: Any) -> tuple[int, int]:
    """Weights of taps that get exactly zero gradient on images of a size, and all weights."""
    torch.manual_seed(0)
    model = build_backbone(name, image_size=size, **options)
    for module in model.modules():
        # timm's blocks begin as identities, behind which nothing has a gradient.
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
    model(torch.randn(4, 3, size, size)).square().mean().backward()
    dead = 0
    for weight in (p for p in model.parameters() if p.dim() == 4):
        # From no channel to any: one weight may have none by chance, behind a ReLU that is 0.
        taps = weight.grad.abs().amax((0, 1))
        dead += int((taps == 0).sum()) * weight.shape[0] * weight.shape[1]
    return dead, sum(p.numel() for p in model.parameters())


def test_the_imagenet_stem_leaves_most_of_a_resnet18_without_gradient_at_32_pixels() -> None:
    assert dead_and_all_weights("resnet18", 32) == (6_946_816, 11_176_512)  # 62.2 %
    # Larger images, or the small stem, reach every tap.
    assert dead_and_all_weights("resnet18", 64)[0] == 0
    assert dead_and_all_weights("resnet18", 32, stem="small")[0] == 0


def test_a_resnet50_loses_less() -> None:
    assert dead_and_all_weights("resnet50", 32) == (5_505_024, 23_508_032)  # 23.4 %
