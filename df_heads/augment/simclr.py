"""SimCLR's augmentation on a whole batch at once, each image with its own random parameters.

The recipe, its order, its argument names and its defaults are those of lightly's
``SimCLRTransform`` (1.6). It differs from it in this:

- Values stay float32 from crop to normalization; PIL rounds to 8 bits after every operation.
- The blur is a Gaussian, cut off at four standard deviations, its border reflected; PIL's is three
  box blurs that come close to one, with the border pixel repeated.
- Hue is shifted exactly; PIL rounds it to 1/256 of a turn.
- Rotation by any angle takes the nearest pixel and fills with black, as torchvision does for
  tensors; PIL can pick the neighboring pixel where two are equally near.
- All parameters come from one generator; lightly draws some from torch and some from NumPy.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from df_heads._finite import check_counts, check_number
from df_heads.augment import pixel_ops

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

# torchvision's RandomResizedCrop: aspect ratios, and how often a box that does not fit is redrawn.
_MIN_RATIO, _MAX_RATIO = 3 / 4, 4 / 3
_CROP_TRIES = 10
# Area and aspect ratio of every try, top and left of the crop, then all that comes after it.
_CROP_DRAWS = 2 * _CROP_TRIES + 2
_DRAWS = _CROP_DRAWS + 13


class ViewParameters(NamedTuple):
    """What happens to each of N images; every field is a tensor of shape (N,).

    Attributes:
        top: First row of the crop, in pixels, int64.
        left: First column of the crop, in pixels, int64.
        height: Height of the crop in pixels, int64.
        width: Width of the crop in pixels, int64.
        flip_horizontal: Whether to mirror left and right, bool.
        flip_vertical: Whether to mirror top and bottom, bool.
        angle: Counter-clockwise rotation in degrees; 0 for none. With ``rr_degrees=None`` anything
            but 0 counts as 90.
        brightness: Factor; 1 for none. Likewise `contrast` and `saturation`.
        contrast: Factor.
        saturation: Factor.
        hue: Shift as a fraction of a full turn; 0 for none.
        order: Order of the four, an index into `pixel_ops.JITTER_ORDERS`, int64.
        gray: Whether to drop the color, bool.
        sigma: Standard deviation of the blur in pixels; 0 for none.
    """

    top: Tensor
    left: Tensor
    height: Tensor
    width: Tensor
    flip_horizontal: Tensor
    flip_vertical: Tensor
    angle: Tensor
    brightness: Tensor
    contrast: Tensor
    saturation: Tensor
    hue: Tensor
    order: Tensor
    gray: Tensor
    sigma: Tensor


class SimCLRAugment(nn.Module):
    """Views of a whole batch at once, each image with its own random parameters.

    Call it on the batch once per view, or on the batch repeated. `draw` and `transform` are the two
    halves of `forward`. To compile, draw the random numbers outside, because a graph cannot hold a
    generator::

        @torch.compile(fullgraph=True)
        def views(images, uniforms):
            return augment.transform(images, augment.parameters_from(uniforms, *images.shape[2:]))

        views(images, augment.uniforms(len(images), generator))

    Cost grows with the cube of the image size, as crop and blur are matrix products: it is meant
    for small images. Autocast is switched off inside.

    Args:
        image_size: Height and width of a view in pixels.
        min_scale: Smallest area of the crop relative to the image, in (0, 1].
        hf_prob: Probability of a horizontal flip.
        vf_prob: Probability of a vertical flip.
        rr_prob: Probability of a rotation.
        rr_degrees: None rotates by 90 degrees, a number d by an angle from [-d, d], a pair by an
            angle from that range.
        cj_prob: Probability of color jitter.
        cj_strength: Multiplies the next four. lightly recommends 0.5 for CIFAR.
        cj_bright: Largest change of the brightness factor from 1.
        cj_contrast: Largest change of the contrast factor from 1.
        cj_sat: Largest change of the saturation factor from 1.
        cj_hue: Largest shift of the hue, as a fraction of a full turn; at most 0.5 after
            `cj_strength`.
        random_gray_scale: Probability of dropping the color.
        gaussian_blur: Probability of a blur.
        sigmas: Smallest and largest standard deviation of the blur, in pixels.
        mean: Mean of each channel, subtracted at the end; the default is ImageNet's.
        std: Standard deviation of each channel, divided by at the end; the default is ImageNet's.

    Raises:
        ValueError: If an argument is out of its range.
    """

    mean: Tensor
    std: Tensor
    _blur_basis: Tensor
    _jitter_slots: Tensor

    def __init__(
        self,
        image_size: int = 32,
        *,
        min_scale: float = 0.08,
        hf_prob: float = 0.5,
        vf_prob: float = 0.0,
        rr_prob: float = 0.0,
        rr_degrees: float | tuple[float, float] | None = None,
        cj_prob: float = 0.8,
        cj_strength: float = 1.0,
        cj_bright: float = 0.8,
        cj_contrast: float = 0.8,
        cj_sat: float = 0.8,
        cj_hue: float = 0.2,
        random_gray_scale: float = 0.2,
        gaussian_blur: float = 0.5,
        sigmas: tuple[float, float] = (0.1, 2.0),
        mean: tuple[float, float, float] = IMAGENET_MEAN,
        std: tuple[float, float, float] = IMAGENET_STD,
    ) -> None:
        super().__init__()
        probabilities = {
            "hf_prob": hf_prob,
            "vf_prob": vf_prob,
            "rr_prob": rr_prob,
            "cj_prob": cj_prob,
            "random_gray_scale": random_gray_scale,
            "gaussian_blur": gaussian_blur,
        }
        for name, probability in probabilities.items():
            if not 0.0 <= probability <= 1.0:
                raise ValueError(
                    f"{name} is a probability and must be in [0, 1], got {probability}."
                )
        check_counts(image_size=image_size)
        check_number(min_scale=min_scale, cj_strength=cj_strength)
        if not 0.0 < min_scale <= 1.0:
            raise ValueError(f"min_scale must be in (0, 1], got {min_scale}.")
        strengths = {"cj_bright": cj_bright, "cj_contrast": cj_contrast, "cj_sat": cj_sat}
        for name, strength in {**strengths, "cj_hue": cj_hue}.items():
            if not 0.0 <= strength * cj_strength < math.inf:
                raise ValueError(
                    f"{name} * cj_strength must not be negative and must be finite, got {strength} "
                    f"* {cj_strength}."
                )
        if cj_hue * cj_strength > 0.5:
            raise ValueError(
                f"cj_hue * cj_strength must be at most 0.5, got {cj_hue} * {cj_strength}."
            )
        degrees = rr_degrees if isinstance(rr_degrees, tuple) else (rr_degrees or 0.0,)
        if not all(map(math.isfinite, degrees)):
            raise ValueError(f"rr_degrees must be finite, got {rr_degrees}.")
        if not 0.0 <= sigmas[0] <= sigmas[1] < math.inf:
            raise ValueError(f"sigmas must be 0 <= min <= max, and finite, got {sigmas}.")
        if not all(0.0 < value < math.inf for value in std):
            raise ValueError(f"std must be positive and finite in every channel, got {std}.")
        if not all(map(math.isfinite, mean)):
            raise ValueError(f"mean must be finite in every channel, got {mean}.")

        self.image_size = image_size
        self.min_scale = min_scale
        self.hf_prob = hf_prob
        self.vf_prob = vf_prob
        self.rr_prob = rr_prob
        self.rr_degrees = rr_degrees
        self.cj_prob = cj_prob
        self.jitter = tuple(value * cj_strength for value in strengths.values())
        self.hue = cj_hue * cj_strength
        self.random_gray_scale = random_gray_scale
        self.gaussian_blur = gaussian_blur
        self.sigmas = sigmas
        basis = pixel_ops.blur_basis(sigmas[1], image_size)
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)
        self.register_buffer("_blur_basis", basis, persistent=False)
        self.register_buffer("_jitter_slots", pixel_ops.jitter_slots(), persistent=False)

    def forward(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One view of each image.

        Args:
            images: (N, 3, H, W): uint8, or floating point with values in [0, 1].
            generator: Source of the parameters, on the images' device; None for torch's global one.

        Returns:
            float32 of shape (N, 3, image_size, image_size), normalized.
        """
        _check_images(images)
        n, _, height, width = images.shape
        return self.transform(images, self.draw(n, height, width, generator))

    def normalize(self, images: Tensor) -> Tensor:
        """Images as they are, for evaluation: (N, 3, H, W) to float32 of the same shape.

        Args:
            images: uint8, or floating point with values in [0, 1].
        """
        _check_images(images)
        values = images.float()
        if images.dtype == torch.uint8:
            values.div_(255.0)
        return values.sub(self.mean).div_(self.std)

    def draw(
        self, n: int, height: int, width: int, generator: torch.Generator | None = None
    ) -> ViewParameters:
        """Random parameters for n images of height x width pixels, on the module's device."""
        return self.parameters_from(self.uniforms(n, generator), height, width)

    def uniforms(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """The random numbers behind the parameters of n views: uniform in [0, 1), shape (35, n).

        Their number does not depend on the settings: switching one operation off changes no other.
        """
        return torch.rand(_DRAWS, n, generator=generator, device=self.mean.device)

    def parameters_from(self, uniforms: Tensor, height: int, width: int) -> ViewParameters:
        """Turn uniform random numbers into parameters, deterministically.

        Args:
            uniforms: From `uniforms`, shape (35, N).
            height: Height of the images in pixels.
            width: Width of the images in pixels.

        Returns:
            The parameters of N views.
        """
        box, rest = uniforms[:_CROP_DRAWS], uniforms[_CROP_DRAWS:]
        top, left, crop_height, crop_width = self._crop_box(box, height, width)
        horizontal, vertical, rotated, angle, jittered, bright, contrast = rest[:7].unbind()
        saturation, hue, order, gray, blurred, sigma = rest[7:].unbind()

        # masked_fill rather than where: with a number, where copies from the host, and a CUDA graph
        # cannot record that.
        unjittered = jittered >= self.cj_prob
        factors = [
            _between(u, max(0.0, 1.0 - strength), 1.0 + strength).masked_fill(unjittered, 1.0)
            for u, strength in zip((bright, contrast, saturation), self.jitter, strict=True)
        ]
        return ViewParameters(
            top=top,
            left=left,
            height=crop_height,
            width=crop_width,
            flip_horizontal=horizontal < self.hf_prob,
            flip_vertical=vertical < self.vf_prob,
            angle=self._angle(angle).masked_fill(rotated >= self.rr_prob, 0.0),
            brightness=factors[0],
            contrast=factors[1],
            saturation=factors[2],
            hue=_between(hue, -self.hue, self.hue).masked_fill(unjittered, 0.0),
            order=_integer_below(order, len(pixel_ops.JITTER_ORDERS)),
            gray=gray < self.random_gray_scale,
            sigma=_between(sigma, *self.sigmas).masked_fill(blurred >= self.gaussian_blur, 0.0),
        )

    def transform(self, images: Tensor, parameters: ViewParameters) -> Tensor:
        """Views of the images with the parameters given.

        Args:
            images: (N, 3, H, W): uint8, or floating point with values in [0, 1].
            parameters: N of each; operations whose probability is 0 are skipped whatever these say.

        Returns:
            float32 of shape (N, 3, image_size, image_size), normalized.
        """
        with torch.autocast(images.device.type, enabled=False):
            planes = self._crop(images, parameters)
            if self.rr_prob > 0.0 and self.rr_degrees is None:
                planes = pixel_ops.rotate_quarter(planes, parameters.angle != 0.0)
            elif self.rr_prob > 0.0:
                planes = pixel_ops.rotate(planes, parameters.angle)
            if self.cj_prob > 0.0:
                pixel_ops.color_jitter_(
                    planes,
                    parameters.brightness,
                    parameters.contrast,
                    parameters.saturation,
                    parameters.hue,
                    self._jitter_slots[parameters.order],
                )
            if self.random_gray_scale > 0.0:
                pixel_ops.grayscale_(planes, parameters.gray)
            if self.gaussian_blur > 0.0:
                blur = pixel_ops.blur_matrix(parameters.sigma, self._blur_basis)
                planes = pixel_ops.multiply_axes(planes, blur, blur)
            return torch.stack(planes, dim=1).sub_(self.mean).div_(self.std)

    def _crop(self, images: Tensor, parameters: ViewParameters) -> pixel_ops.Planes:
        """Crop, resize and flip; images to planes in [0, 1]."""
        height, width = images.shape[2:]
        top, left, crop_height, crop_width, mirror, upside_down = parameters[:6]
        rows = pixel_ops.resample_matrix(top, crop_height, upside_down, height, self.image_size)
        columns = pixel_ops.resample_matrix(left, crop_width, mirror, width, self.image_size)
        planes = [plane.float() for plane in images.unbind(1)]
        if images.dtype == torch.uint8:
            rows.div_(255.0)  # a third of what scaling the pixels costs
        return pixel_ops.multiply_axes(planes, rows, columns)

    def _crop_box(
        self, uniforms: Tensor, height: int, width: int
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Top, left, height and width of N crops, as torchvision's RandomResizedCrop draws them.

        Args:
            uniforms: Random numbers of shape (22, N): areas, aspect ratios, top, left.
            height: Height of the images in pixels.
            width: Width of the images in pixels.
        """
        area, ratio = uniforms[:_CROP_TRIES], uniforms[_CROP_TRIES : 2 * _CROP_TRIES]
        top, left = uniforms[2 * _CROP_TRIES :].unbind()
        areas = height * width * _between(area, self.min_scale, 1.0)
        ratios = _between(ratio, math.log(_MIN_RATIO), math.log(_MAX_RATIO)).exp()
        heights = (areas / ratios).sqrt().round().long()
        widths = (areas * ratios).sqrt().round().long()
        fits = (heights >= 1) & (heights <= height) & (widths >= 1) & (widths <= width)
        first = fits.int().argmax(dim=0, keepdim=True)

        # With no fit: the largest box of an allowed aspect ratio, in the center.
        center = ~fits.any(dim=0)
        center_height = min(height, round(width / _MIN_RATIO))
        center_width = min(width, round(height * _MAX_RATIO))
        heights = heights.gather(0, first)[0].masked_fill(center, center_height)
        widths = widths.gather(0, first)[0].masked_fill(center, center_width)
        tops = _integer_below(top, height - heights + 1)
        lefts = _integer_below(left, width - widths + 1)
        return (
            tops.masked_fill(center, (height - center_height) // 2),
            lefts.masked_fill(center, (width - center_width) // 2),
            heights,
            widths,
        )

    def _angle(self, uniform: Tensor) -> Tensor:
        if self.rr_degrees is None:
            return torch.full_like(uniform, 90.0)
        if isinstance(self.rr_degrees, tuple):
            return _between(uniform, *self.rr_degrees)
        return _between(uniform, -self.rr_degrees, self.rr_degrees)


def _between(uniform: Tensor, low: float, high: float) -> Tensor:
    return low + (high - low) * uniform


def _integer_below(uniform: Tensor, bound: Tensor | int) -> Tensor:
    # A number just below 1 times the bound may round up to the bound.
    return (uniform * bound).long().clamp_max(bound - 1)


def _check_images(images: Tensor) -> None:
    if not isinstance(images, Tensor):
        raise TypeError(
            f"Images must be a tensor, got {type(images).__name__}: convert them with "
            "torch.as_tensor."
        )
    if images.dtype != torch.uint8 and not images.is_floating_point():
        raise ValueError(
            "Images must be uint8, or floating point with values in [0, 1], got "
            f"{images.dtype}: convert them with images.byte()."
        )
    if images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(f"Images must have shape (N, 3, H, W), got {tuple(images.shape)}.")
