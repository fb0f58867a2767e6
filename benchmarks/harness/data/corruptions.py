"""Common corruptions of images, drawn by torchvision and one by Pillow.

Strengths are those of CIFAR-10-C (Hendrycks and Dietterich 2019, arXiv 1903.12261; the authors'
make_cifar_c.py) where the operation is the same. It is not that benchmark: these are six of its
19 corruptions at three of its five severities, and some differ in detail, which each says.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as F

#: Of CIFAR-10-C's 1 to 5.
SEVERITIES = (1, 3, 5)
_CHUNK = 1000
# One draw for all: every run is scored on the same corrupted images.
_NOISE_SEED = 0


@dataclass(frozen=True)
class Corruption:
    """One way to spoil images.

    Attributes:
        apply: From images in [0, 1], float32 (N, 3, S, S), and a strength to such images; what
            leaves [0, 1] is clipped.
        strengths: At each of `SEVERITIES`.
    """

    apply: Callable[[Tensor, float], Tensor]
    strengths: tuple[float, ...]


def _gaussian_noise(images: Tensor, sigma: float) -> Tensor:
    noisy: Tensor = F.gaussian_noise(images, sigma=sigma)
    return noisy


def _gaussian_blur(images: Tensor, sigma: float) -> Tensor:
    taps = 2 * math.ceil(4 * sigma) + 1  # as far as the original reaches
    blurred: Tensor = F.gaussian_blur(images, kernel_size=[taps, taps], sigma=[sigma, sigma])
    return blurred


def _pixelate(images: Tensor, scale: float) -> Tensor:
    size = images.shape[-1]
    small = F.resize(images, [int(scale * size)] * 2, antialias=True)
    nearest = InterpolationMode.NEAREST_EXACT
    pixelated: Tensor = F.resize(small, [size, size], interpolation=nearest)
    return pixelated


def _jpeg(images: Tensor, quality: float) -> Tensor:
    """By Pillow, as in the original: torchvision gives up its own."""
    compressed = torch.empty_like(images)
    for image, place in zip(_to_uint8(images), compressed, strict=True):
        file = BytesIO()
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(file, "JPEG", quality=int(quality))
        place.copy_(torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1))
    return compressed / 255


#: Name -> corruption.
CORRUPTIONS: dict[str, Corruption] = {
    # Standard deviation of the noise.
    "gaussian_noise": Corruption(_gaussian_noise, (0.04, 0.08, 0.10)),
    # Standard deviation in pixels. An extra one of CIFAR-10-C, beside its 15.
    "gaussian_blur": Corruption(_gaussian_blur, (0.4, 0.7, 1.0)),
    # Factor. CIFAR-10-C adds 0.05, 0.15 and 0.3 to the value of HSV; at 0.47, the mean of
    # CIFAR-10's pixels, these factors add about as much.
    "brightness": Corruption(F.adjust_brightness, (1.1, 1.3, 1.6)),
    # Factor. CIFAR-10-C shrinks towards each channel's mean, torchvision towards the mean gray.
    "contrast": Corruption(F.adjust_contrast, (0.75, 0.4, 0.15)),
    # Side of the small image, relative. CIFAR-10-C takes box filters, here it is a triangle one
    # on the way down and the nearest pixel on the way up.
    "pixelate": Corruption(_pixelate, (0.95, 0.85, 0.65)),
    # Quality.
    "jpeg": Corruption(_jpeg, (80, 58, 40)),
}


def corrupt(images: npt.NDArray[np.uint8], name: str, severity: int) -> npt.NDArray[np.uint8]:
    """Images with one corruption, the same at every call.

    Args:
        images: uint8 (N, 3, S, S).
        name: A key of `CORRUPTIONS`.
        severity: One of `SEVERITIES`.

    Returns:
        uint8 (N, 3, S, S), rounded as files of images are.
    """
    corruption = CORRUPTIONS[name]
    strength = corruption.strengths[SEVERITIES.index(severity)]
    parts = []
    # torchvision's noise takes no generator.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_NOISE_SEED)
        for start in range(0, len(images), _CHUNK):
            part = torch.from_numpy(np.array(images[start : start + _CHUNK])).float() / 255
            parts.append(_to_uint8(corruption.apply(part, strength)))
    spoilt: npt.NDArray[np.uint8] = torch.cat(parts).numpy()
    return spoilt


def _to_uint8(images: Tensor) -> Tensor:
    return (images.clamp(0, 1) * 255).round().to(torch.uint8)
