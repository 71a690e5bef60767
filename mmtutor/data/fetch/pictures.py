"""Safe pictures: judge the header first, decode second, and put the result on a white square.

Knows PNG and SVG: their dangers and their decoders (Pillow and resvg). Does not know where pictures
come from or what they show.
"""

from __future__ import annotations

import io
import re
import warnings
import zlib
from base64 import b64decode
from xml.parsers import expat

import numpy as np
from PIL import Image

MAX_PIXELS = 16_000_000


class PictureError(ValueError):
    """The picture is damaged, of another format, too large, or refers to other files."""


def opened(data: bytes, formats: tuple[str, ...] = ("PNG",)) -> Image.Image:
    """A picture of which only the header has been read; Pillow decodes it when it is used.

    Raises:
        PictureError: for another format, a damaged header, or more than `MAX_PIXELS` pixels.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # judged just below
            picture = Image.open(io.BytesIO(data), formats=formats)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise PictureError(f"cannot be decoded as {' or '.join(formats)}: {error}") from error
    width, height = picture.size
    if width * height > MAX_PIXELS:
        raise PictureError(f"{width} x {height} pixels: at most {MAX_PIXELS} are decoded")
    return picture


def decode(data: bytes, side: int) -> np.ndarray:
    """A picture on a white square: uint8, shape [side, side, 3], aspect kept, centred, antialiased.

    An SVG is drawn in this size, whatever size it declares.

    Raises:
        PictureError: see `opened`; also for pixel data that cannot be decoded, and for an SVG that
            is damaged or refers to other files.
    """
    if b"<svg" in data[:4096].lower() or data.lstrip()[:5] == b"<?xml":
        data = _drawn(data, side)
    picture = opened(data)
    try:
        picture = picture.convert("RGBA")
    except (OSError, SyntaxError, ValueError, zlib.error) as error:
        raise PictureError(f"damaged PNG: {error}") from error
    white = Image.new("RGBA", picture.size, "white")
    white.alpha_composite(picture)
    scale = side / max(picture.size)
    fitted = [max(1, round(length * scale)) for length in picture.size]
    resized = white.convert("RGB").resize(fitted, Image.Resampling.BICUBIC)
    square = Image.new("RGB", (side, side), "white")
    square.paste(resized, ((side - fitted[0]) // 2, (side - fitted[1]) // 2))
    return np.asarray(square)


def _drawn(data: bytes, side: int) -> bytes:
    """PNG bytes of an SVG, its longer side `side` pixels, alike on every machine: without fonts."""
    import resvg_py

    _check_svg(data)
    try:
        png = resvg_py.svg_to_bytes(
            svg_string=data.decode("utf-8-sig"), background="white", dpi=96,
            skip_system_fonts=True, width=side, height=side,
        )  # fmt: skip
    except ValueError as error:
        raise PictureError(f"cannot render the SVG: {error}") from error
    return bytes(png)


def _check_svg(data: bytes) -> None:
    """PictureError unless this is an SVG, and every picture in it a small enough PNG inside it."""
    tags: list[str] = []

    def start(tag: str, attributes: dict[str, str]) -> None:
        tags.append(tag.rpartition(":")[2])
        if tags[0] != "svg":
            raise PictureError(f"not an SVG: its root element is <{tag}>")
        for key, value in attributes.items():
            if tags[-1] in ("image", "feImage") and key.rpartition(":")[2] == "href":
                _check_embedded(value)

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise PictureError(f"damaged SVG: {error}") from error


def _check_embedded(reference: str) -> None:
    head, _, body = reference.partition(",")
    if not reference or reference.startswith("#"):
        return  # nothing, or something in the same SVG
    if not re.fullmatch(r"\s*data:image/png;base64", head):
        raise PictureError(f"SVG refers to another file or format: {reference[:40]!r}")
    try:
        opened(b64decode(body))
    except ValueError as error:
        raise PictureError(f"damaged picture embedded in an SVG: {error}") from error
