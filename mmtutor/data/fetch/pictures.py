"""Safe pictures: read the header first, decode second, and put the result on a white square.

Knows PNG and SVG: their size, their dangers and their decoders (Pillow and resvg).
Does not know where pictures come from or what they show.
"""

from __future__ import annotations

import io
import math
import re
import struct
import zlib
from base64 import b64decode
from binascii import Error as Base64Error
from xml.parsers import expat

import numpy as np

MAX_PIXELS = 16_000_000
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PIXELS_PER_UNIT = {
    "": 1.0, "px": 1.0, "pt": 4 / 3, "pc": 16.0, "in": 96.0, "cm": 96 / 2.54, "mm": 96 / 25.4,
}  # fmt: skip
LENGTH = re.compile(r"\s*([0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)\s*([a-z]*)\s*\Z")


class PictureError(ValueError):
    """The picture is damaged, of another format, too large, or refers to other files."""


def picture_size(data: bytes, max_pixels: int = MAX_PIXELS) -> tuple[str, float, float]:
    """("png" or "svg", width, height) in pixels from the header alone; no decoder runs.

    For an SVG the pictures embedded in it are checked as well.

    Raises:
        PictureError: for another format, a damaged header, an empty picture, one of more than
            `max_pixels` pixels, or an SVG that refers to other files.
    """
    if data.startswith(PNG_SIGNATURE):
        kind, (width, height) = "png", _png_size(data)
    elif b"<svg" in data[:4096].lower() or data.lstrip()[:5] == b"<?xml":
        kind, (width, height) = "svg", _svg_size(data, max_pixels)
    else:
        raise PictureError(f"neither PNG nor SVG: it starts with {data[:8]!r}")
    if not (width > 0 and height > 0 and math.isfinite(width * height)):
        raise PictureError(f"{kind} of {width} x {height} pixels is empty")
    if width * height > max_pixels:
        raise PictureError(
            f"{kind} of {width:.0f} x {height:.0f} pixels: at most {max_pixels} pixels are decoded"
        )
    return kind, width, height


def decode(data: bytes, side: int) -> np.ndarray:
    """A picture on a white square: uint8, shape [side, side, 3], aspect kept, centred, antialiased.

    Raises:
        PictureError: see `picture_size`; also for pixel data that cannot be decoded.
    """
    kind, width, height = picture_size(data)
    if kind == "svg":
        data = _render_svg(data, width, height, side)
        picture_size(data)
    return _on_white(data, side)


def _png_size(data: bytes) -> tuple[int, int]:
    """Width and height from the IHDR chunk."""
    if len(data) < 33 or data[8:16] != b"\x00\x00\x00\rIHDR":
        raise PictureError("damaged PNG: no IHDR chunk")
    (checksum,) = struct.unpack(">I", data[29:33])
    if zlib.crc32(data[12:29]) != checksum:
        raise PictureError("damaged PNG: the IHDR checksum is wrong")
    return struct.unpack(">II", data[16:24])


def _svg_size(data: bytes, max_pixels: int) -> tuple[float, float]:
    """Width and height of an SVG's root; checks every picture embedded in it."""
    roots: list[dict[str, str]] = []

    def start(tag: str, attributes: dict[str, str]) -> None:
        if not roots:
            if tag.rpartition(":")[2] != "svg":
                raise PictureError(f"not an SVG: its root element is <{tag}>")
            roots.append(attributes)
        if tag.rpartition(":")[2] in ("image", "feImage"):
            for key, value in attributes.items():
                if key.rpartition(":")[2] == "href" and value and not value.startswith("#"):
                    _check_embedded(value, max_pixels)

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise PictureError(f"damaged SVG: {error}") from error
    return _declared_size(roots[0])


def _declared_size(root: dict[str, str]) -> tuple[float, float]:
    """Pixels from `width` and `height`, or else from `viewBox`."""
    sizes = [LENGTH.match(root.get(key, "")) for key in ("width", "height")]
    if all(size and size[2] in PIXELS_PER_UNIT for size in sizes):
        width, height = (float(size[1]) * PIXELS_PER_UNIT[size[2]] for size in sizes)
        return width, height
    try:
        _, _, width, height = map(float, root.get("viewBox", "").replace(",", " ").split())
    except ValueError:
        raise PictureError("SVG without a width and height in pixels or a viewBox") from None
    return width, height


def _check_embedded(reference: str, max_pixels: int) -> None:
    """PictureError unless an SVG's <image> is a small enough PNG inside the SVG itself."""
    head, _, body = reference.partition(",")
    if not re.fullmatch(r"\s*data:image/png;base64", head):
        raise PictureError(f"SVG refers to another file or format: {reference[:40]!r}")
    try:
        png = b64decode(body)
    except Base64Error as error:
        raise PictureError(f"damaged picture embedded in an SVG: {error}") from error
    if not png.startswith(PNG_SIGNATURE):
        raise PictureError("the PNG embedded in an SVG is not one")
    picture_size(png, max_pixels)


def _render_svg(data: bytes, width: float, height: float, side: int) -> bytes:
    """PNG bytes of the SVG, its longer side `side` pixels.

    Fonts of the system are not used, so the result is the same on every machine; the size is ours,
    so what the SVG declares cannot exhaust memory.
    """
    import resvg_py

    if min(width, height) * side < max(width, height):
        raise PictureError(f"SVG of {width:g} x {height:g} is too thin for {side} pixels")
    longer = {"width": side} if width >= height else {"height": side}
    try:
        text = data.decode("utf-8-sig")
        png = resvg_py.svg_to_bytes(
            svg_string=text, background="white", dpi=96, skip_system_fonts=True, **longer
        )
    except ValueError as error:
        raise PictureError(f"cannot render the SVG: {error}") from error
    return bytes(png)


def _on_white(data: bytes, side: int) -> np.ndarray:
    """Decode PNG bytes, lay them on white, and fit them into a square."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as opened:
            picture = opened.convert("RGBA")
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
