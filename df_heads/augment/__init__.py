"""Augmented views of a whole batch of images at once, on the batch's own device.

>>> import torch
>>> from df_heads.augment import SimCLRAugment, TwoViews
>>> images = torch.randint(256, (8, 3, 32, 32), dtype=torch.uint8)
>>> first, second = TwoViews(SimCLRAugment(32, cj_strength=0.5))(images)
>>> first.shape, first.dtype
(torch.Size([8, 3, 32, 32]), torch.float32)

Needs torch only. `pixel_ops` has the single operations; docs/augment.md shows how to train with it.
"""

from df_heads.augment import pixel_ops
from df_heads.augment.simclr import IMAGENET_MEAN, IMAGENET_STD, SimCLRAugment, ViewParameters
from df_heads.augment.two_views import Augment, TwoViews

__all__ = [
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "Augment",
    "SimCLRAugment",
    "TwoViews",
    "ViewParameters",
    "pixel_ops",
]
