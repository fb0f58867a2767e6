"""How a picture becomes what a backbone takes."""

from typing import Any

import msgspec
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from df_heads.augment import IMAGENET_MEAN, IMAGENET_STD
from df_heads.integrations.choices import Resize
from df_heads.integrations.files.pictures import to_rgb, to_square

_RULES = {
    "crop": "the shorter side to {0} pixels (bilinear, antialiased), then the central {0} x {0}",
    "stretch": "both sides to {0} pixels (bilinear, antialiased), proportions are not kept",
}


class Preprocessing(msgspec.Struct, frozen=True, kw_only=True):
    """Resize, make a square, normalise.

    >>> Preprocessing(image_size=64)(Image.open("picture.jpg")).shape
    torch.Size([3, 64, 64])

    Attributes:
        image_size: Side of the square in pixels.
        resize: "crop" keeps the central square of a picture, "stretch" all of it.
        mean: Of the red, green and blue values in [0, 1]; subtracted.
        std: Divides them.
    """

    image_size: int
    resize: Resize = "crop"
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD

    def __call__(self, images: Any) -> Tensor:
        """Turn pictures into float32 tensors.

        Args:
            images: A PIL image, or uint8 (N, 3, H, W), a tensor or an array.

        Returns:
            (3, S, S) of a PIL image, (N, 3, S, S) of a batch, S = image_size.

        Raises:
            ValueError: If it is neither.
        """
        if isinstance(images, Image.Image):
            return self.normalize(torch.from_numpy(self.pixels(images))[None])[0]
        batch = torch.as_tensor(images)
        if batch.dtype != torch.uint8 or batch.dim() != 4 or batch.shape[1] != 3:
            raise ValueError(
                f"A batch must be uint8 of shape (N, 3, H, W), not {batch.dtype} of "
                f"{tuple(batch.shape)}; for one picture pass a PIL image."
            )
        if batch.shape[2:] != (self.image_size, self.image_size):
            pictures = (Image.fromarray(i.permute(1, 2, 0).cpu().numpy()) for i in batch)
            squares = np.stack([self.pixels(picture) for picture in pictures])
            batch = torch.from_numpy(squares).to(batch.device)
        return self.normalize(batch)

    def pixels(self, image: Image.Image) -> "np.ndarray[Any, np.dtype[np.uint8]]":
        """The square of a picture before it is normalised: uint8 (3, S, S)."""
        square = to_square(to_rgb(image), self.image_size, self.resize)
        return np.ascontiguousarray(np.asarray(square).transpose(2, 0, 1))

    def normalize(self, images: Tensor) -> Tensor:
        """Squares of uint8 (N, 3, S, S) to float32 with the mean and std."""
        mean = torch.tensor(self.mean, device=images.device)[:, None, None]
        std = torch.tensor(self.std, device=images.device)[:, None, None]
        return (images.float() / 255.0 - mean) / std

    def __str__(self) -> str:
        mean, std = (
            ", ".join(f"{value:g}" for value in values) for values in (self.mean, self.std)
        )
        rule = _RULES[self.resize].format(self.image_size)
        return f"{rule}; values / 255, minus mean ({mean}), over std ({std})"
