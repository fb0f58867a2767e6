"""Every operation against torchvision's functional, image by image, given the same parameters."""

import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from df_heads.augment import pixel_ops
from df_heads.augment.pixel_ops import JITTER_ORDERS

ADJUST = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def planes_of(images: Tensor) -> list[Tensor]:
    return [plane.clone() for plane in images.unbind(1)]


def images_with_corner_cases(n: int, size: int) -> Tensor:
    """Random images; some gray, some with few levels (equal channels, black and white pixels)."""
    images = torch.rand(n, 3, size, size)
    images[::4] = images[::4, :1]
    images[1::4] = (images[1::4] * 2).round() / 2
    return images


def largest_difference(planes: list[Tensor], expected: list[Tensor]) -> float:
    return float((torch.stack(planes, 1) - torch.stack(expected)).abs().max())


def random_boxes(n: int, height: int, width: int) -> list[list[int]]:
    """Top, left, height and width of each; the whole image and a single pixel among them."""
    boxes = [[0, 0, height, width], [height - 1, width - 1, 1, 1]]
    while len(boxes) < n:
        h, w = int(torch.randint(1, height + 1, ())), int(torch.randint(1, width + 1, ()))
        top = int(torch.randint(0, height - h + 1, ()))
        boxes.append([top, int(torch.randint(0, width - w + 1, ())), h, w])
    return boxes


def crop(images: Tensor, boxes: list[list[int]], flip: Tensor, size: int) -> list[Tensor]:
    top, left, height, width = torch.tensor(boxes).unbind(1)
    no_flip = torch.zeros_like(flip)
    rows = pixel_ops.resample_matrix(top, height, no_flip, images.shape[2], size)
    columns = pixel_ops.resample_matrix(left, width, flip, images.shape[3], size)
    return pixel_ops.multiply_axes(planes_of(images), rows, columns)


@pytest.mark.parametrize(
    ("height", "width", "size"), [(32, 32, 32), (96, 96, 32), (20, 28, 32), (70, 40, 7), (9, 9, 1)]
)
def test_crop_is_resized_crop(height: int, width: int, size: int) -> None:
    n = 150
    images, boxes = torch.rand(n, 3, height, width), random_boxes(n, height, width)
    flip = torch.rand(n) < 0.5
    expected = [
        F.resized_crop(image, *box, size=[size, size], antialias=True)
        for image, box in zip(images, boxes, strict=True)
    ]
    expected = [F.horizontal_flip(x) if f else x for x, f in zip(expected, flip, strict=True)]
    assert largest_difference(crop(images, boxes, flip, size), expected) < 1e-5


def test_vertical_flip_reverses_rows() -> None:
    whole, yes = torch.tensor([5]), torch.tensor([True])
    matrix = pixel_ops.resample_matrix(torch.tensor([0]), whole, yes, 5, 5)
    assert torch.allclose(matrix[0], torch.eye(5).flip(0))


def test_crop_reads_nothing_outside_the_box() -> None:
    boxes = [[8, 4, 9, 20], [3, 3, 26, 26]]
    images = torch.rand(2, 3, 32, 32)
    spoiled = torch.full_like(images, 1e6)
    for image, target, (top, left, h, w) in zip(images, spoiled, boxes, strict=True):
        target[:, top : top + h, left : left + w] = image[:, top : top + h, left : left + w]
    flip = torch.tensor([False, True])
    for size in (8, 32):
        clean, dirty = crop(images, boxes, flip, size), crop(spoiled, boxes, flip, size)
        assert torch.equal(torch.stack(clean), torch.stack(dirty))


@pytest.mark.parametrize(("size", "radius"), [(32, 8), (9, 8), (5, 4), (2, 1), (1, 0)])
def test_blur_is_gaussian_blur(size: int, radius: int) -> None:
    images, sigma = torch.rand(60, 3, size, size), torch.empty(60).uniform_(0.1, 2.0)
    basis = pixel_ops.blur_basis(2.0, size)
    assert basis.shape == (2 * radius + 1, size, size)
    matrix = pixel_ops.blur_matrix(sigma, basis)
    expected = [
        F.gaussian_blur(image, [2 * radius + 1] * 2, [float(s)] * 2)
        for image, s in zip(images, sigma, strict=True)
    ]
    planes = pixel_ops.multiply_axes(planes_of(images), matrix, matrix)
    assert largest_difference(planes, expected) < 1e-5


def test_blur_keeps_nearly_all_of_the_gaussian() -> None:
    """A longer kernel changes nothing that 8 bits could hold."""
    images, sigma = torch.rand(8, 3, 32, 32), torch.full((8,), 2.0)
    short, long = (pixel_ops.blur_matrix(sigma, pixel_ops.blur_basis(s, 32)) for s in (2.0, 7.0))
    short, long = (torch.stack([m @ p @ m.mT for p in images.unbind(1)]) for m in (short, long))
    assert (short - long).abs().max() < 0.5 / 255


def test_sigma_zero_blurs_nothing() -> None:
    matrix = pixel_ops.blur_matrix(torch.zeros(3), pixel_ops.blur_basis(2.0, 6))
    assert torch.equal(matrix, torch.eye(6).expand(3, 6, 6))


@pytest.mark.parametrize("size", [32, 15])
def test_rotate_is_rotate(size: int) -> None:
    images, angle = torch.rand(80, 3, size, size) + 0.1, torch.empty(80).uniform_(-180.0, 180.0)
    angle[::8] = 0.0
    expected = [F.rotate(x, float(a)) for x, a in zip(images, angle, strict=True)]
    rotated = torch.stack(pixel_ops.rotate(planes_of(images), angle), 1)
    # Where two pixels are equally near, rounding decides which one is taken.
    assert (rotated != torch.stack(expected)).float().mean() < 1e-3
    assert torch.equal(rotated[::8], images[::8])


def test_rotate_quarter_is_rotate_by_90() -> None:
    images, turn = torch.rand(6, 3, 8, 8), torch.tensor([1, 0, 1, 1, 0, 0]).bool()
    expected = [F.rotate(x, 90.0) if t else x for x, t in zip(images, turn, strict=True)]
    assert largest_difference(pixel_ops.rotate_quarter(planes_of(images), turn), expected) == 0


def test_grayscale_is_rgb_to_grayscale() -> None:
    images, gray = torch.rand(20, 3, 8, 8), torch.rand(20) < 0.5
    planes = planes_of(images)
    pixel_ops.grayscale_(planes, gray)
    expected = [F.rgb_to_grayscale(x, 3) if g else x for x, g in zip(images, gray, strict=True)]
    assert largest_difference(planes, expected) < 1e-6
    assert torch.equal(torch.stack(planes, 1)[~gray], images[~gray])


def test_hue_is_adjust_hue() -> None:
    images, hue = images_with_corner_cases(200, 16), torch.empty(200).uniform_(-0.5, 0.5)
    hue[:6] = torch.tensor([-0.5, 0.5, 0.0, 1 / 3, -1 / 6, 0.25])
    expected = [F.adjust_hue(x, float(h)) for x, h in zip(images, hue, strict=True)]
    planes = planes_of(images)
    pixel_ops.adjust_hue_(planes, hue)
    assert largest_difference(planes, expected) < 1e-4


@pytest.mark.parametrize(("with_hue", "tolerance"), [(False, 1e-5), (True, 1e-4)])
def test_color_jitter_is_the_adjustments_in_the_drawn_order(
    with_hue: bool, tolerance: float
) -> None:
    n = 10 * len(JITTER_ORDERS)
    images = images_with_corner_cases(n, 12)
    factors = torch.empty(n, 4).uniform_(0.2, 1.8)
    factors[:, 3] = torch.empty(n).uniform_(-0.2, 0.2) * with_hue
    order = torch.arange(n) % len(JITTER_ORDERS)

    expected = []
    for image, factor, index in zip(images, factors.tolist(), order.tolist(), strict=True):
        for operation in JITTER_ORDERS[index]:
            image = ADJUST[operation](image, factor[operation])
        expected.append(image)

    planes = planes_of(images)
    brightness, contrast, saturation, hue = factors.unbind(1)
    slots = pixel_ops.jitter_slots()[order]
    pixel_ops.color_jitter_(planes, brightness, contrast, saturation, hue, slots)
    assert largest_difference(planes, expected) < tolerance


def test_orders_of_color_jitter_differ() -> None:
    """Guards the test above: had the order no effect, it would prove nothing about orders."""
    images = torch.rand(1, 3, 12, 12).expand(24, -1, -1, -1)
    planes = planes_of(images)
    brightness, contrast, saturation, hue = torch.tensor([1.7, 0.4, 1.6, 0.15]).expand(24, 4).T
    slots = pixel_ops.jitter_slots()
    pixel_ops.color_jitter_(planes, brightness, contrast, saturation, hue, slots)
    views = torch.stack(planes, 1).flatten(1)
    closest = torch.cdist(views, views).fill_diagonal_(torch.inf).min()
    assert closest > 0.01
