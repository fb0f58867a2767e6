"""Figures as PNGs, drawn by Pillow."""

import base64
import colorsys
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from df_heads.integrations.look.charts import HEIGHT, WIDTH, Chart, Kind
from df_heads.integrations.look.gallery import Gallery
from df_heads.integrations.look.measured import Row

# From little to much; dark on either background, and no red beside green.
_SCALE = ((12, 8, 38), (87, 24, 110), (176, 53, 106), (240, 112, 75), (253, 225, 160))
_INK, _PAPER, _GRAY = (30, 33, 40), (255, 255, 255), (120, 126, 138)
_LINE: dict[Kind, tuple[tuple[int, int, int], int]] = {
    "main": ((28, 98, 196), 5),
    "control": (_GRAY, 3),
    "level": ((196, 74, 28), 3),
}
Rgb = tuple[int, int, int]


def data_uri(image: Image.Image, *, photo: bool = False) -> str:
    """An image as part of the page; photographs as JPEG, which is a tenth of the size."""
    stream = io.BytesIO()
    if photo:
        image.save(stream, "JPEG", quality=85)
    else:
        image.save(stream, "PNG", optimize=True)
    kind = "jpeg" if photo else "png"
    return f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode()}"


def color_of(group: int, count: int) -> Rgb:
    """A colour for each group, neighbours in the list far apart."""
    hue = (group * 0.381966 + 0.58) % 1 if count > 8 else (group / max(count, 1) + 0.58) % 1
    r, g, b = colorsys.hls_to_rgb(hue, 0.46 if group % 2 == 0 else 0.56, 0.62)
    return round(255 * r), round(255 * g), round(255 * b)


def heat_map(weights: Tensor, cell: int = 1) -> Image.Image:
    """Weights (n, n) as colours, the largest the brightest; cell x cell pixels each."""
    shares = (weights / weights.max().clamp_min(1e-12)).numpy()
    anchors = np.linspace(0, 1, len(_SCALE))
    channels = [np.interp(shares, anchors, [color[c] for color in _SCALE]) for c in range(3)]
    image = Image.fromarray(np.stack(channels, axis=-1).round().astype(np.uint8))
    return image.resize((image.width * cell, image.height * cell), Image.Resampling.NEAREST)


def scale() -> Image.Image:
    """The colours from least to most, for the legend."""
    ramp = np.linspace(0, 1, 128)[None]
    anchors = np.linspace(0, 1, len(_SCALE))
    channels = [np.interp(ramp, anchors, [color[c] for color in _SCALE]) for c in range(3)]
    return Image.fromarray(np.stack(channels, axis=-1).round().astype(np.uint8))


def strip(gallery: Gallery, batch: Sequence[int], *, upright: bool = False) -> Image.Image:
    """Thumbnails in a line, each framed in the colour of its group."""
    tiles = [framed(gallery, i, 40, 3) for i in batch]
    size = (40, 40 * len(tiles)) if upright else (40 * len(tiles), 40)
    image = Image.new("RGB", size)
    for i, tile in enumerate(tiles):
        image.paste(tile, (0, 40 * i) if upright else (40 * i, 0))
    return image


def framed(gallery: Gallery, index: int, side: int, width: int = 2) -> Image.Image:
    """A thumbnail in the colour of its group."""
    color = color_of(int(gallery.groups[index]), len(gallery.group_names))
    tile = Image.new("RGB", (side, side), color)
    tile.paste(gallery.thumbnail(index, side - 2 * width), (width, width))
    return tile


def attention_figure(gallery: Gallery, batch: Sequence[int], weights: Tensor) -> Image.Image:
    """A map with thumbnails on both axes: rows attend to columns."""
    image = Image.new("RGB", (40 * (len(batch) + 1),) * 2, _PAPER)
    image.paste(strip(gallery, batch), (40, 0))
    image.paste(strip(gallery, batch, upright=True), (0, 40))
    image.paste(heat_map(weights, 40), (40, 40))
    return image


def atlas(gallery: Gallery, side: int = 48) -> tuple[Image.Image, int]:
    """All pictures in one image, and how many are in a row of it."""
    columns = max(1, round(len(gallery) ** 0.5))
    rows = -(-len(gallery) // columns)
    image = Image.new("RGB", (columns * side, rows * side))
    for i in range(len(gallery)):
        place = (i % columns * side, i // columns * side)
        image.paste(gallery.thumbnail(i, side), place)
    return image, columns


def rows_figure(gallery: Gallery, rows: Sequence[Row], spec: str) -> Image.Image:
    """Rows of pictures: one, and those that go with it, with a number under each."""
    tile, gap, text = 96, 10, 20
    width = gap + (tile + gap) * (1 + max(len(others) for _, others in rows)) + 2 * gap
    height = gap + (tile + text + gap) * len(rows)
    image = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(image)
    for number, (first, others) in enumerate(rows):
        y = gap + number * (tile + text + gap)
        image.paste(framed(gallery, first, tile, 4), (gap, y))
        for place, (index, value) in enumerate(others):
            x = gap + (tile + gap) * (place + 1) + 2 * gap
            image.paste(framed(gallery, index, tile, 4), (x, y))
            _text(draw, (x + tile / 2, y + tile + 2), format(value, spec), 15, "ma")
    return image


def map_figure(gallery: Gallery, places: Tensor) -> Image.Image:
    """The pictures themselves at their places in the plane."""
    side, tile = 1200, 44
    image = Image.new("RGB", (side, side), _PAPER)
    for index, (x, y) in enumerate(places.tolist()):
        corner = round(x * (side - tile)), round((1 - y) * (side - tile))
        image.paste(framed(gallery, index, tile, 3), corner)
    return image


def chart_figure(chart: Chart, factor: int = 2) -> Image.Image:
    """A chart, as the page shows it in light colours, with its legend under it."""
    rows = len(chart.lines)
    image = Image.new("RGB", (WIDTH * factor, (HEIGHT + 20 * rows + 8) * factor), _PAPER)
    draw = ImageDraw.Draw(image)

    def at(x: float, y: float) -> tuple[float, float]:
        return x * factor, y * factor

    left, right = chart.place(chart.xs[0], 0)[0], chart.place(chart.xs[-1], 0)[0]
    for tick in chart.y_ticks:
        _, y = chart.place(chart.xs[0], tick)
        draw.line([at(min(left, 58), y), at(max(right, WIDTH - 14), y)], fill=(226, 228, 234))
        _text(draw, at(51, y), f"{tick:g}", 12 * factor, "rm")
    for x in chart.x_ticks:
        _text(draw, at(chart.place(x, 0)[0], HEIGHT - 34), str(x), 12 * factor, "mm")
    _text(draw, at(WIDTH / 2, HEIGHT - 13), chart.x_label, 12 * factor, "mm")
    _sideways(image, chart.y_label, 12 * factor, round(10 * factor), round(117 * factor))
    for number, line in enumerate(chart.lines):
        color, width = _LINE[line.kind]
        for run in chart.runs(line):
            points = [at(x, y) for x, y in run]
            draw.line(points, fill=color, width=width, joint="curve")
            if line.kind == "main" and chart.has_dots:
                for px, py in points:
                    draw.ellipse([px - 6, py - 6, px + 6, py + 6], fill=color)
        y = HEIGHT + 20 * number + 4
        draw.line([at(58, y), at(82, y)], fill=color, width=width)
        _text(draw, at(90, y), line.name, 12 * factor, "lm")
    return image


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _text(
    draw: ImageDraw.ImageDraw, place: tuple[float, float], text: str, size: int, anchor: str
) -> None:
    draw.text(place, text, fill=_INK, font=_font(size), anchor=anchor)


def _sideways(image: Image.Image, text: str, size: int, x: int, middle: int) -> None:
    width = round(_font(size).getlength(text)) + 4
    line = Image.new("RGB", (width, size + 8), _PAPER)
    _text(ImageDraw.Draw(line), (2, (size + 8) / 2), text, size, "lm")
    line = line.rotate(90, expand=True)
    image.paste(line, (x - line.width // 2 + 4, middle - line.height // 2))
