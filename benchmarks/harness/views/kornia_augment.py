"""The same views drawn by kornia, for comparison."""

import math
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from df_heads.augment import IMAGENET_MEAN, IMAGENET_STD
from df_heads.benchmarks.harness.base.errors import InputError

SIGMAS = (0.1, 2.0)  # lightly's
# Three standard deviations to each side, where kornia's own examples cut off too.
BLUR_KERNEL = 2 * math.ceil(3 * SIGMAS[1]) + 1


class KorniaAugment(nn.Module):
    """SimCLR's recipe in kornia's operations, on the batch and its device.

    kornia draws the parameters of each image, but one order of the color jitter for the batch.

    Args:
        image_size: Height and width of a view in pixels.
        min_scale: As in SimCLRAugment; so are the next five.
        hf_prob: Probability of a horizontal flip.
        rr_prob: Probability of a rotation.
        rr_degrees: Largest rotation in degrees.
        cj_strength: Strength of the color jitter.
        gaussian_blur: Probability of a blur.

    Raises:
        InputError: If kornia is not installed.
    """

    def __init__(
        self,
        image_size: int = 32,
        *,
        min_scale: float = 0.08,
        hf_prob: float = 0.5,
        rr_prob: float = 0.0,
        rr_degrees: float = 0.0,
        cj_strength: float = 1.0,
        gaussian_blur: float = 0.5,
    ) -> None:
        super().__init__()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of its own use of torch
                from kornia import augmentation as kornia
        except ImportError as error:
            raise InputError("--augment kornia needs kornia: pip install kornia") from error
        color = [cj_strength * 0.8] * 3 + [cj_strength * 0.2]
        self.values = kornia.Normalize(IMAGENET_MEAN, IMAGENET_STD)
        operations: list[Any] = [
            kornia.RandomResizedCrop((image_size, image_size), scale=(min_scale, 1.0)),
            kornia.RandomHorizontalFlip(p=hf_prob),
            kornia.RandomRotation(rr_degrees, p=rr_prob),
            kornia.ColorJitter(*color, p=0.8),
            kornia.RandomGrayscale(p=0.2),
            kornia.RandomGaussianBlur((BLUR_KERNEL, BLUR_KERNEL), SIGMAS, p=gaussian_blur),
            self.values,
        ]
        self.operations = nn.Sequential(*operations)

    def forward(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One view of each image.

        Args:
            images: uint8 of shape (N, 3, H, W).
            generator: Seeds torch's global generators, which kornia draws from; they are put back.
                None draws from them as they are.

        Returns:
            float32 of shape (N, 3, image_size, image_size), normalized.
        """
        if generator is None:
            return self._views(images)
        device = images.device
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            seed = torch.randint(2**31, (), generator=generator, device=generator.device)
            torch.manual_seed(int(seed))
            return self._views(images)

    def normalize(self, images: Tensor) -> Tensor:
        """Images as they are, for evaluation: uint8 (N, 3, H, W) to float32 of the same shape."""
        values: Tensor = self.values(images.float() / 255.0)
        return values

    def _views(self, images: Tensor) -> Tensor:
        with torch.autocast(images.device.type, enabled=False):
            views: Tensor = self.operations(images.float() / 255.0)
        return views
