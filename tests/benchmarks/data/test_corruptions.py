from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from df_heads.benchmarks.harness.data import corruptions
from df_heads.benchmarks.harness.data.corruptions import CORRUPTIONS, SEVERITIES, corrupt

Images = npt.NDArray[np.uint8]


def noise(count: int = 3, size: int = 20) -> Images:
    generator = np.random.default_rng(0)
    return generator.integers(0, 256, (count, 3, size, size), dtype=np.uint8)


def is_rounded(ours: Images, exact: npt.NDArray[np.floating[Any]]) -> bool:
    return bool(np.abs(ours - exact.clip(0, 255)).max() < 0.501)


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corruption_is_the_same_at_every_call_and_leaves_the_images_alone(
    name: str, severity: int
) -> None:
    images, state = noise(), torch.get_rng_state()
    spoilt = corrupt(images, name, severity)
    assert spoilt.dtype == np.uint8
    assert spoilt.shape == images.shape
    assert np.array_equal(images, noise())
    assert not np.array_equal(spoilt, images)
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(3)
    assert np.array_equal(corrupt(images, name, severity), spoilt)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_more_severe_is_farther_from_the_image(name: str) -> None:
    images = noise()
    apart = [
        np.abs(corrupt(images, name, severity).astype(int) - images).mean()
        for severity in SEVERITIES
    ]
    assert apart == sorted(apart)
    assert len(set(apart)) == 3


@pytest.mark.parametrize(("severity", "sigma"), [(1, 0.04), (3, 0.08), (5, 0.10)])
def test_gaussian_noise_has_its_deviation(severity: int, sigma: float) -> None:
    gray: Images = np.full((2, 3, 64, 64), 128, np.uint8)
    added = corrupt(gray, "gaussian_noise", severity).astype(float) / 255 - 128 / 255
    assert added.std() == pytest.approx(sigma, rel=0.02)
    assert abs(added.mean()) < 0.003
    assert not np.array_equal(added[0], added[1])


@pytest.mark.parametrize(("severity", "sigma"), [(1, 0.4), (3, 0.7), (5, 1.0)])
def test_a_blurred_dot_is_a_gaussian(severity: int, sigma: float) -> None:
    dot: Images = np.zeros((1, 3, 15, 15), np.uint8)
    dot[..., 7, 7] = 255
    bell = np.exp(-((np.arange(15) - 7.0) ** 2) / (2 * sigma**2))
    bell /= bell.sum()
    assert is_rounded(
        corrupt(dot, "gaussian_blur", severity), 255.0 * np.outer(bell, bell).astype(np.float64)
    )


@pytest.mark.parametrize(("severity", "factor"), [(1, 1.1), (3, 1.3), (5, 1.6)])
def test_brightness_multiplies(severity: int, factor: float) -> None:
    images = noise()
    assert is_rounded(corrupt(images, "brightness", severity), images * factor)


@pytest.mark.parametrize(("severity", "factor"), [(1, 0.75), (3, 0.4), (5, 0.15)])
def test_contrast_shrinks_towards_the_mean_gray_of_each_image(severity: int, factor: float) -> None:
    images = noise()
    gray = np.tensordot(images, [0.2989, 0.587, 0.114], axes=(1, 0))
    mean = gray.mean((1, 2))[:, None, None, None]
    exact = mean + factor * (images - mean)
    assert is_rounded(corrupt(images, "contrast", severity), exact)


@pytest.mark.parametrize(("severity", "blocks"), [(1, 19), (3, 17), (5, 13)])
def test_pixelated_images_have_fewer_pixels(severity: int, blocks: int) -> None:
    spoilt = corrupt(noise(), "pixelate", severity)
    for axis in (2, 3):
        assert np.unique(spoilt, axis=axis).shape[axis] == blocks


@pytest.mark.parametrize(("severity", "quality"), [(1, 80), (3, 58), (5, 40)])
def test_jpeg_is_that_of_a_saved_file(severity: int, quality: int, tmp_path: Path) -> None:
    images = noise()
    for image, spoilt in zip(images, corrupt(images, "jpeg", severity), strict=True):
        Image.fromarray(image.transpose(1, 2, 0)).save(tmp_path / "a.jpg", quality=quality)
        expected = np.asarray(Image.open(tmp_path / "a.jpg")).transpose(2, 0, 1)
        assert np.array_equal(spoilt, expected)


def test_many_images_are_taken_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    images = noise(count=7)
    whole = corrupt(images, "gaussian_blur", 5)
    sizes: list[int] = []

    def apply(part: torch.Tensor, _: float) -> Any:
        sizes.append(len(part))
        return part

    monkeypatch.setattr(corruptions, "_CHUNK", 3)
    assert np.array_equal(corrupt(images, "gaussian_blur", 5), whole)
    monkeypatch.setitem(CORRUPTIONS, "none", corruptions.Corruption(apply, (1, 2, 3)))
    assert np.array_equal(corrupt(images, "none", 1), images)
    assert sizes == [3, 3, 1]
