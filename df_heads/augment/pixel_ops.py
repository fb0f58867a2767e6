"""Pixel operations on a batch of images, each image with its own parameters.

Images are held as three color planes, each float32 of shape (N, H, W) with values in [0, 1]: every
operation then runs over contiguous memory. Parameters are tensors of shape (N,). Nothing here reads
a value back to the host or has a shape that depends on values, so all of it can be compiled and
captured in a CUDA graph.

Conventions (pixel centers, rounding, clamping, channel weights) are those of
``torchvision.transforms.v2.functional`` on float tensors.
"""

import itertools
import math

import torch
from torch import Tensor
from torch.nn import functional as F

Planes = list[Tensor]
"""Red, green and blue, each of shape (N, H, W)."""

BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)
"""The operations of color jitter, numbered as in torchvision's ``ColorJitter.get_params``."""

JITTER_ORDERS = tuple(itertools.permutations((BRIGHTNESS, CONTRAST, SATURATION, HUE)))
"""The 24 orders of color jitter; a drawn order is an index into this tuple."""

# ITU-R BT.601 luma, to the digits that torchvision uses.
_LUMA = (0.2989, 0.587, 0.114)
_IDENTITY = HUE
_SLOTS_BEFORE_HUE = 3
# Wide enough for a truncated Gaussian to lose less than 1e-4 of its mass.
_BLUR_RADIUS_IN_SIGMAS = 4


def resample_matrix(
    start: Tensor, length: Tensor, flip: Tensor, in_size: int, out_size: int
) -> Tensor:
    """Matrices that crop, resize and flip along one axis: bilinear, antialiased.

    When the crop is larger than the output the triangle filter widens with it; weights beyond the
    crop are left out and the rest rescaled, so nothing outside the crop is read.

    Args:
        start: First pixel of the crop, shape (N,).
        length: Length of the crop in pixels, shape (N,); start + length <= in_size.
        flip: Whether to reverse the axis, bool, shape (N,).
        in_size: Length of the axis before, in pixels.
        out_size: Length of the axis after, in pixels.

    Returns:
        Matrices of shape (N, out_size, in_size), rows sum to 1.
    """
    step = (length / out_size)[:, None]
    reach = step.clamp_min(1.0)
    out = torch.arange(out_size, device=start.device)
    out = torch.where(flip[:, None], out_size - 1 - out, out)
    center = (out + 0.5) * step / reach

    pixel = torch.arange(in_size, device=start.device) - start[:, None]
    inside = (pixel >= 0) & (pixel < length[:, None])
    position = ((pixel + 0.5) / reach).masked_fill(~inside, torch.inf)

    distance = (position[:, None, :] - center[:, :, None]).abs_()
    weights = distance.neg_().add_(1.0).clamp_min_(0.0)
    return weights.div_(weights.sum(2, keepdim=True))


def blur_basis(max_sigma: float, size: int) -> Tensor:
    """Where each tap of a blur kernel lands, with the image reflected at its border.

    Args:
        max_sigma: Largest standard deviation that will be asked for, in pixels.
        size: Length of the axis in pixels.

    Returns:
        Shape (2 * radius + 1, size, size): a kernel's taps times this is its blur matrix. The
        radius is four standard deviations, at most size - 1: as far as one reflection goes.
    """
    radius = min(math.ceil(_BLUR_RADIUS_IN_SIGMAS * max_sigma), size - 1)
    taps = torch.arange(-radius, radius + 1)[:, None]
    row = torch.arange(size)
    source = (row + taps).abs()
    source = torch.where(source >= size, 2 * (size - 1) - source, source)
    return F.one_hot(source, size).float()


def blur_matrix(sigma: Tensor, basis: Tensor) -> Tensor:
    """Matrices that blur along one axis with a Gaussian.

    Args:
        sigma: Standard deviations in pixels, shape (N,); 0 leaves the image as it is.
        basis: From `blur_basis`, shape (taps, size, size).

    Returns:
        Matrices of shape (N, size, size), rows sum to 1.
    """
    taps, size, _ = basis.shape
    offset = torch.arange(taps, device=sigma.device) - taps // 2
    # exp() of every tap but the central one underflows to 0 long before 1e-3 pixels.
    kernel = torch.softmax(-0.5 * (offset / sigma.clamp_min(1e-3)[:, None]) ** 2, dim=1)
    # Taps so small that they become denormal numbers make a CPU's matrix product 3 times as slow.
    kernel = F.threshold(kernel, 1e-9, 0.0)
    return (kernel @ basis.flatten(1)).view(-1, size, size)


def multiply_axes(planes: Planes, rows: Tensor, columns: Tensor) -> Planes:
    """Apply one matrix to the vertical and one to the horizontal axis of each image.

    Args:
        planes: Three tensors of shape (N, H, W).
        rows: Matrices for the vertical axis, shape (N, S, H).
        columns: Matrices for the horizontal axis, shape (N, T, W).

    Returns:
        Three tensors of shape (N, S, T).
    """
    return [rows @ plane @ columns.mT for plane in planes]


def rotate(planes: Planes, angle: Tensor) -> Planes:
    """Rotate counter-clockwise about the center: nearest pixel, black where there is no image.

    Args:
        planes: Three tensors of shape (N, S, S).
        angle: Degrees, shape (N,).

    Returns:
        Three tensors of shape (N, S, S).
    """
    size = planes[0].shape[-1]
    radians = torch.deg2rad(angle)[:, None, None]
    cos, sin = radians.cos(), radians.sin()
    axis = torch.arange(size, device=angle.device) - (size - 1) / 2
    x, y = axis[None, None, :], axis[None, :, None]
    grid = torch.stack((cos * x - sin * y, sin * x + cos * y), dim=3) / (size / 2)
    images = torch.stack(planes, dim=1)
    rotated = F.grid_sample(images, grid, "nearest", "zeros", align_corners=False)
    return list(rotated.unbind(1))


def rotate_quarter(planes: Planes, turn: Tensor) -> Planes:
    """Rotate by 90 degrees counter-clockwise where `turn` (bool, shape (N,)) says so."""
    return [torch.where(turn[:, None, None], plane.rot90(1, (1, 2)), plane) for plane in planes]


def luma(planes: Planes) -> Tensor:
    """Gray value of each pixel, shape (N, H, W)."""
    red, green, blue = planes
    gray = red.mul(_LUMA[0])
    return gray.add_(green, alpha=_LUMA[1]).add_(blue, alpha=_LUMA[2])


def grayscale_(planes: Planes, gray: Tensor) -> None:
    """Replace, in place, all three planes by the gray value where `gray` (bool, (N,)) says so."""
    value, weight = luma(planes), gray.float()[:, None, None]
    for plane in planes:
        plane.lerp_(value, weight)


def adjust_hue_(planes: Planes, hue: Tensor) -> None:
    """Shift the hue of each image in place; HSV saturation and value stay.

    Args:
        planes: Three tensors of shape (N, H, W).
        hue: Fractions of a full turn in [-0.5, 0.5], shape (N,).
    """
    red, green, blue = planes
    high = torch.maximum(torch.maximum(red, green), blue)
    low = torch.minimum(torch.minimum(red, green), blue)
    chroma = high - low

    # Hue in sixths of a turn. Its distance from pure red is 1 + (green + blue - red - low) / chroma
    # in all six sectors, its sign that of green - blue: no branch per sector, which on a CPU costs
    # twelve times as much as an arithmetic operation.
    turn = (green + blue).sub_(red).sub_(low).div_(chroma.clamp_min(1e-12)).add_(1.0)
    turn.copysign_(green - blue).add_(6.0 * hue[:, None, None])
    turn.sub_(turn.mul(1 / 6).floor_(), alpha=6.0)

    # Back to RGB: a channel is trapezoidal in the distance of the hue from the channel's center.
    low.sub_(chroma)
    high.add_(chroma)
    red.copy_(turn).sub_(3.0).abs_().clamp_(1.0, 2.0).mul_(chroma).add_(low)
    chroma.neg_()
    green.copy_(turn).sub_(2.0).abs_().clamp_(1.0, 2.0).mul_(chroma).add_(high)
    blue.copy_(turn).sub_(4.0).abs_().clamp_(1.0, 2.0).mul_(chroma).add_(high)


def jitter_slots() -> Tensor:
    """The schedule that lets images with different orders share one sequence of operations.

    Brightness, contrast and saturation are the same affine operation with other coefficients; hue
    is not, and costs more. So hue comes once for all images, with three affine slots before it and
    three after; a slot that an order does not need is the identity. Every operation clamps to
    [0, 1], so no two slots can be merged into one.

    Returns:
        The operation in each affine slot for each of `JITTER_ORDERS`, int64 of shape (24, 6).
    """
    rows = []
    for order in JITTER_ORDERS:
        hue = order.index(HUE)
        before, after = list(order[:hue]), list(order[hue + 1 :])
        pad = [_IDENTITY] * _SLOTS_BEFORE_HUE
        rows.append((before + pad)[:_SLOTS_BEFORE_HUE] + (after + pad)[:_SLOTS_BEFORE_HUE])
    return torch.tensor(rows)


def color_jitter_(
    planes: Planes,
    brightness: Tensor,
    contrast: Tensor,
    saturation: Tensor,
    hue: Tensor,
    slots: Tensor,
) -> None:
    """Change brightness, contrast, saturation and hue in place, in each image's own order.

    Args:
        planes: Three tensors of shape (N, H, W).
        brightness: Factors, shape (N,); 1 changes nothing.
        contrast: Likewise.
        saturation: Likewise.
        hue: Fractions of a full turn, shape (N,); 0 changes nothing.
        slots: For each image the operations in the affine slots, shape (N, 6); see `jitter_slots`.
    """
    factors = torch.stack((brightness, contrast, saturation, torch.ones_like(hue)), dim=1)
    factor = factors.gather(1, slots)
    to_gray = (1.0 - factor) * (slots == SATURATION)
    to_mean = (1.0 - factor) * (slots == CONTRAST)
    for slot in range(slots.shape[1]):
        if slot == _SLOTS_BEFORE_HUE:
            adjust_hue_(planes, hue)
        gray = luma(planes)
        mean = gray.mean((1, 2), keepdim=True)
        target = gray.mul_(to_gray[:, slot, None, None]).add_(mean * to_mean[:, slot, None, None])
        for plane in planes:
            plane.mul_(factor[:, slot, None, None]).add_(target).clamp_(0.0, 1.0)
