"""Pictures as PIL images of mode RGB, opened safely, and cut to squares."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from df_heads.integrations.choices import Resize
from df_heads.integrations.errors import InputError

# The readers of Pillow that these endings mean. A file's content chooses among them, not its name,
# and other readers start programs: a PostScript file starts Ghostscript.
FORMATS = ("JPEG", "PNG", "PPM", "BMP", "TIFF", "WEBP", "GIF", "AVIF")


def open_rgb(path: Path) -> Image.Image:
    """Decode one file to mode RGB, upright, see `to_rgb`.

    Raises:
        InputError: If it cannot be decoded.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            return to_rgb(image)
    except Exception as error:  # whatever the damage leads to in one of Pillow's decoders
        raise InputError(
            f"image {path} cannot be decoded ({error}): replace or remove it"
        ) from error


def to_rgb(image: Image.Image) -> Image.Image:
    """An image in mode RGB: transparent pixels become white, 16-bit gray becomes 8-bit.

    A photograph that says by its EXIF data how the camera was held is turned upright.

    Raises:
        ValueError: If the mode has no fixed range, or the colors are numbers without a palette.
    """
    if image.mode.startswith("I;16"):
        # Pillow's own conversion clips at 255, which leaves a white image.
        gray = (np.asarray(image) >> 8).astype(np.uint8)
        return Image.fromarray(gray).convert("RGB")
    if image.mode == "P" and (image.palette is None or not image.palette.palette):
        raise ValueError("it has no palette")
    if image.mode in ("I", "F"):
        raise ValueError(f"mode {image.mode} has no fixed range, save it with 8 bits")
    image = ImageOps.exif_transpose(image)
    if "A" in image.getbands() or "transparency" in image.info:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def to_square(image: Image.Image, size: int, resize: Resize = "crop") -> Image.Image:
    """Resize an image to size x size with antialiasing (Pillow's bilinear filter).

    Args:
        image: Of any size.
        size: Side in pixels.
        resize: "crop" keeps the central square, "stretch" everything, at the cost of proportions.
    """
    if image.size == (size, size):
        return image
    box: tuple[float, float, float, float] | None = None
    if resize == "crop":
        width, height = image.size
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        box = (left, top, left + side, top + side)
    return image.resize((size, size), Image.Resampling.BILINEAR, box=box)
