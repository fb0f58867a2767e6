"""Folders of drawn pictures: four shapes in colours, sizes, places and noise of their own."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

Points = list[tuple[float, float]]


def _corners(count: int, x: float, y: float, radii: tuple[float, ...], turn: float) -> Points:
    angles = [turn + 2 * math.pi * i / count for i in range(count)]
    return [
        (x + radii[i % len(radii)] * math.cos(a), y + radii[i % len(radii)] * math.sin(a))
        for i, a in enumerate(angles)
    ]


SHAPES: dict[str, Callable[[float, float, float, float], Points]] = {
    "circle": lambda x, y, r, turn: _corners(48, x, y, (r,), turn),
    "square": lambda x, y, r, turn: _corners(4, x, y, (r,), turn + math.pi / 4),
    "star": lambda x, y, r, turn: _corners(10, x, y, (r, 0.4 * r), turn),
    "triangle": lambda x, y, r, turn: _corners(3, x, y, (r,), turn),
}


def draw_shape(name: str, size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    """One picture, (width, height) pixels: a shape on paper."""
    width, height = size
    least = min(size)
    ground, colour = rng.integers(220, 256, 3), rng.integers(0, 200, 3)
    radius = least * rng.uniform(0.25, 0.42)
    x, y = (side / 2 + least * rng.uniform(-0.08, 0.08) for side in size)
    image = Image.new("RGB", (2 * width, 2 * height), tuple(int(c) for c in ground))
    corners = SHAPES[name](2 * x, 2 * y, 2 * radius, -math.pi / 2 + rng.uniform(-0.2, 0.2))
    ImageDraw.Draw(image).polygon(corners, fill=tuple(int(c) for c in colour))
    pixels = np.asarray(image.resize(size, Image.Resampling.BOX), dtype=np.float64)
    noisy = pixels + rng.normal(0, rng.uniform(2, 12), pixels.shape)
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def draw_folder(
    folder: Path,
    count: int = 200,
    *,
    size: tuple[int, int] = (64, 64),
    suffix: str = ".png",
    flat: bool = False,
    seed: int = 0,
) -> Path:
    """Draw pictures into a folder: in turn of each shape, in class folders or without classes."""
    rng = np.random.default_rng(seed)
    names = list(SHAPES)
    for number in range(count):
        name = names[number % len(names)]
        target = folder if flat else folder / name
        target.mkdir(parents=True, exist_ok=True)
        draw_shape(name, size, rng).save(target / f"{number:03}{suffix}")
    return folder
