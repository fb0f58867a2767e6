"""Images that are on the device already, and views of them from random numbers."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from df_heads.augment import SimCLRAugment


class DeviceImages(nn.Module):
    """All training images on the device, and what draws their views.

    Args:
        images: uint8 (N, 3, H, W), as an array or a tensor. Not part of the state_dict.
        augment: Draws a view.

    Raises:
        ValueError: If the images are not uint8 (N, 3, H, W).
    """

    images: Tensor

    def __init__(self, images: npt.NDArray[np.uint8] | Tensor, augment: SimCLRAugment) -> None:
        super().__init__()
        if not isinstance(images, Tensor):
            images = torch.from_numpy(np.ascontiguousarray(images))
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
            raise ValueError(
                f"The images must be uint8 of shape (N, 3, H, W), got {images.dtype} of shape "
                f"{tuple(images.shape)}."
            )
        # Not in checkpoints: the images are known.
        self.register_buffer("images", images, persistent=False)
        self.augment = augment

    def __len__(self) -> int:
        return len(self.images)

    def forward(self, indices: Tensor, uniforms: Tensor) -> tuple[Tensor, Tensor]:
        """Two views of the images (B,) from random numbers (2, 35, B); each (B, 3, S, S)."""
        # On a CPU Inductor gathers the rotated pixels again for every operation after it: slower.
        draw = _compiled_views if indices.device.type == "cuda" else _views
        first, second = draw(self.images, indices, uniforms, self.augment).chunk(2)
        return first, second


def _views(images: Tensor, indices: Tensor, uniforms: Tensor, augment: SimCLRAugment) -> Tensor:
    """Both views in one batch, (2 B, 3, S, S): half the launches of two."""
    chosen = images.index_select(0, indices).repeat(2, 1, 1, 1)
    parameters = augment.parameters_from(uniforms.transpose(0, 1).flatten(1), *images.shape[2:])
    return augment.transform(chosen, parameters)


_compiled_views = torch.compile(_views, fullgraph=True, dynamic=False)
