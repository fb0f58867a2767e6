"""The contents of image files of every kind: what they show, or why they cannot be read."""

import gzip
import io
import struct
import zlib
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

Color = tuple[int, int, int]
RED: Color = (200, 30, 10)
WHITE: Color = (255, 255, 255)
GRAY: Color = (128, 128, 128)

_red = Image.new("RGB", (8, 8), RED)
_blue = Image.new("RGB", (8, 8), "blue")
_palette = _red.quantize(4)
_noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (32, 32, 3)).astype(np.uint8))
_gray_16 = Image.fromarray(np.full((8, 8), 0x8000, np.uint16))
_cyan_off = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
_two = {"save_all": True, "append_images": [_blue]}


class Good(NamedTuple):
    """A file that shows one color in its middle."""

    ending: str
    content: bytes
    color: Color = RED


class Bad(NamedTuple):
    """A file that cannot be read, and part of the sentence that says so."""

    ending: str
    content: bytes
    sentence: str = "cannot identify image file"


def _saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def _chunk(name: bytes, content: bytes) -> bytes:
    check = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", check)


def _png(width: int, height: int, kind: tuple[int, int], rows: bytes, more: bytes = b"") -> bytes:
    """A PNG file; kind is the depth in bits and the type of color."""
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, *kind, 0, 0, 0))
    data = _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + more + data


def _flipped(content: bytes, place: int) -> bytes:
    damaged = bytearray(content)
    damaged[place] ^= 1
    return bytes(damaged)


_RGB, _RGB_16, _RGBA_16, _INDEXED = (8, 2), (16, 2), (16, 6), (8, 3)

GOOD: dict[str, Good] = {
    "jpeg": Good(".jpg", _saved(_red, "JPEG")),
    "jpeg in capitals": Good(".JPEG", _saved(_red, "JPEG")),
    "png": Good(".PnG", _saved(_red, "PNG")),
    "ppm": Good(".ppm", _saved(_red, "PPM")),
    "ppm in words": Good(".ppm", b"P3 1 1 255 200 30 10\n"),
    "ppm of 16 bits": Good(".ppm", b"P6 1 1 65535\n\xc8\0\x1e\0\x0a\0"),
    "pgm": Good(".pgm", b"P5 1 1 255\n\x80", GRAY),
    "bmp": Good(".bmp", _saved(_red, "BMP")),
    "tiff": Good(".tif", _saved(_red, "TIFF")),
    "webp": Good(".webp", _saved(_red, "WEBP", lossless=True)),
    "gif": Good(".gif", _saved(_red, "GIF")),
    "jpeg named png": Good(".png", _saved(_red, "JPEG")),
    "webp named jpg": Good(".jpg", _saved(_red, "WEBP", lossless=True)),
    "cmyk jpeg": Good(".jpg", _saved(_cyan_off, "JPEG"), (255, 0, 0)),
    "cmyk tiff": Good(".tiff", _saved(_cyan_off, "TIFF"), (255, 0, 0)),
    "ycbcr tiff": Good(".tif", _saved(_red.convert("YCbCr"), "TIFF")),
    "gray": Good(".png", _saved(Image.new("L", (8, 8), 128), "PNG"), GRAY),
    "gray of 16 bits": Good(".png", _saved(_gray_16, "PNG"), GRAY),
    "gray tiff of 16 bits": Good(".tif", _saved(_gray_16, "TIFF"), GRAY),
    "color of 16 bits": Good(".png", _png(1, 1, _RGB_16, b"\0\xc8\0\x1e\0\x0a\0")),
    "clear of 16 bits": Good(".png", _png(1, 1, _RGBA_16, b"\0\xc8\0\x1e\0\x0a\0\0\0"), WHITE),
    "one bit": Good(".png", _saved(Image.new("1", (8, 8), 1), "PNG"), WHITE),
    "clear gray": Good(".png", _saved(Image.new("LA", (8, 8), (10, 0)), "PNG"), WHITE),
    "half clear": Good(".png", _saved(Image.new("RGBA", (8, 8), (1, 1, 1, 128)), "PNG"), GRAY),
    "palette": Good(".png", _saved(_palette, "PNG")),
    "clear palette": Good(".png", _saved(_palette, "PNG", transparency=0), WHITE),
    "palette with opacities": Good(
        ".png", _saved(_palette, "PNG", transparency=b"\x80\xff"), (227, 142, 132)
    ),
    "a clear color": Good(".png", _saved(_red, "PNG", transparency=RED), WHITE),
    "clear gif": Good(".gif", _saved(_palette, "GIF", transparency=0), WHITE),
    # Of several pictures the first.
    "animated gif": Good(".gif", _saved(_red, "GIF", **_two)),
    "animated png": Good(".png", _saved(_red, "PNG", **_two)),
    "animated webp": Good(".webp", _saved(_red, "WEBP", lossless=True, **_two)),
    "tiff of two pages": Good(".tif", _saved(_red, "TIFF", **_two)),
    "jpeg of two pictures": Good(".jpg", _saved(_red, "MPO", **_two)),
    "1 x 1": Good(".png", _saved(_red.resize((1, 1)), "PNG")),
    "1 x 5000": Good(".png", _saved(_red.resize((1, 5000)), "PNG")),
    "5000 x 1": Good(".png", _saved(_red.resize((5000, 1)), "PNG")),
    "junk after the end": Good(".png", _saved(_red, "PNG") + b"junk" * 100),
}

_WHOLE = {
    ending: _saved(_noise, kind)
    for ending, kind in (
        *((".jpg", "JPEG"), (".png", "PNG"), (".ppm", "PPM"), (".bmp", "BMP")),
        *((".tif", "TIFF"), (".webp", "WEBP"), (".gif", "GIF")),
    )
}
_TOO_LARGE = "exceeds limit of 178956970 pixels"
_BMP_HEADER = (40, 60000, 60000, 1, 24, 0, 0, 0, 0, 0, 0)

BAD: dict[str, Bad] = {
    **{
        f"{ending} cut at {part:.0%}": Bad(ending, whole[: int(part * len(whole))], "")
        for ending, whole in _WHOLE.items()
        for part in (0.1, 0.5, 0.9, 0.99)
    },
    "empty": Bad(".png", b""),
    "zeros": Bad(".jpg", bytes(1000)),
    "a flipped bit in a png": Bad(
        ".png", _flipped(_WHOLE[".png"], 1000), "broken data stream when reading"
    ),
    "a flipped bit in the size": Bad(".png", _flipped(_WHOLE[".png"], 19)),
    "line ends changed": Bad(".png", _saved(_red, "PNG").replace(b"\r\n", b"\n")),
    "a byte order mark": Bad(".png", b"\xef\xbb\xbf" + _saved(_red, "PNG")),
    "gzip": Bad(".png", gzip.compress(_saved(_red, "PNG"))),
    "zip": Bad(".png", b"PK\3\4" + bytes(40)),
    "a page of errors": Bad(".jpg", b"<html>404 not found</html>"),
    "a pointer of git lfs": Bad(".jpg", b"version https://git-lfs.github.com/spec/v1\nsize 9\n"),
    "svg": Bad(".png", b'<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"/>'),
    "svg with an entity": Bad(
        ".png", b'<!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]><svg>&x;</svg>'
    ),
    "postscript": Bad(".png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\nshowpage\n"),
    "pdf": Bad(".png", b"%PDF-1.4\n%%EOF\n"),
    **{
        f"{kind} named {ending}": Bad(ending, _saved(image, kind))
        for kind, ending, image in (
            *(("ICO", ".png", _red), ("TGA", ".bmp", _red), ("JPEG2000", ".jpg", _red)),
            *(("PCX", ".gif", _red), ("SGI", ".tif", _red), ("DDS", ".webp", _red)),
            ("XBM", ".pgm", _red.convert("1")),
        )
    },
    "png of 400 million pixels": Bad(".png", _png(20000, 20000, _RGB, b""), _TOO_LARGE),
    "png of the largest size": Bad(".png", _png(2**31 - 1, 2**31 - 1, _RGB, b""), _TOO_LARGE),
    "bmp of 3600 million pixels": Bad(
        ".bmp",
        b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + struct.pack("<IiiHHIIiiII", *_BMP_HEADER),
        _TOO_LARGE,
    ),
    "ppm of 10000 million pixels": Bad(".ppm", b"P6 99999 99999 255\n", _TOO_LARGE),
    "gif of nothing": Bad(".gif", b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + b";"),
    "png of 0 pixels": Bad(".png", _png(0, 8, _RGB, b"")),
    "png with too little data": Bad(".png", _png(8, 8, _RGB, bytes(10)), "truncated"),
    "png of 3 bits": Bad(".png", _png(8, 8, (3, 2), b"")),
    "png without its palette": Bad(
        ".png", _png(8, 8, _INDEXED, (b"\0" + b"\1" * 8) * 8), "it has no palette"
    ),
    "2 MB of zeros as a comment": Bad(
        ".png",
        _png(8, 8, _RGB, bytes(200), _chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(2_000_000)))),
        "too large",
    ),
    "ppm of a negative width": Bad(".ppm", b"P6 -8 8 255\n" + bytes(200)),
    "ppm without white": Bad(".ppm", b"P6 8 8 0\n" + bytes(200), "maxval must be"),
    "pgm of 16 bits": Bad(".pgm", b"P5 1 1 65535\n\xc8\0", "has no fixed range"),
    "tiff of 32 bits": Bad(
        ".tif", _saved(Image.fromarray(np.full((8, 8), 7, np.int32)), "TIFF"), "no fixed range"
    ),
    "tiff of fractions": Bad(".tif", _saved(Image.new("F", (8, 8), 0.5), "TIFF"), "no fixed range"),
}
