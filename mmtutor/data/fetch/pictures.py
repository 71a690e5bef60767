"""Safe pictures: judge the header first, decode second.

Knows PNG, JPEG, WEBP and SVG: their dangers and their decoders (Pillow and resvg). All become RGB
in one way: 16 bits are scaled to 8, and what is transparent lies on white. Does not know where
pictures come from or what they show.
"""

from __future__ import annotations

import io
import re
import warnings
import zlib
from base64 import b64decode
from xml.parsers import expat

import numpy as np
import torch
import torch.nn.functional as F
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile
from torch import Tensor

from mmtutor.checks import at_least, instance, listed

MAX_PIXELS = 16_000_000


class PictureError(ValueError):
    """The picture is damaged, of another format, too large, or refers to other files."""


def opened(data: bytes, formats: tuple[str, ...] = ("PNG",)) -> Image.Image:
    """A picture of which only the header has been read; Pillow decodes it when it is used.

    Raises:
        PictureError: for another format, a damaged header, or more than `MAX_PIXELS` pixels.
    """
    instance(bytes, data=data)
    cannot = f"cannot be decoded as {' or '.join(formats)}"
    if not data:
        raise PictureError(f"{cannot}: the file is empty")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # judged just below
            picture = Image.open(io.BytesIO(data), formats=formats)
    except UnidentifiedImageError:
        raise PictureError(f"{cannot}: it begins with {data[:12]!r}") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise PictureError(f"{cannot}: {error}") from error
    width, height = picture.size
    if width * height > MAX_PIXELS:
        raise PictureError(f"{width} x {height} pixels: at most {MAX_PIXELS} are decoded")
    return picture


def read_picture(data: bytes, size: tuple[int, int] | None = None) -> Tensor:
    """Decode a JPEG, PNG or WEBP to uint8 (3, H, W), turned the right way up.

    With `size`, (H, W), it is resized, bilinear and antialiased; the aspect is not kept. A JPEG at
    least twice as large both ways is then decoded at 1/2, 1/4 or 1/8 of its sides (libjpeg's
    `scale_denom`: fewer frequencies of each block), never with fewer pixels than `size`. Against
    resizing the whole picture, fine textures come out a few of 255 levels different.

    Raises:
        PictureError: see `opened`; also for pixel data that cannot be decoded.
        TypeError, ValueError: `size` is not two whole numbers of at least 1.
    """
    picture = opened(data, ("JPEG", "PNG", "WEBP"))
    if size is None:
        return _tensor(_on_white(picture)).contiguous()
    height, width = _two(size)
    pixels = _tensor(_on_white(picture, (height, width)))
    # Several times as fast as Pillow's; no pixel differs by more than rounding.
    resized = F.interpolate(pixels[None], (height, width), mode="bilinear", antialias=True)
    return resized[0].contiguous()


def decode(data: bytes, side: int) -> np.ndarray:
    """A picture on a white square: uint8, shape [side, side, 3], aspect kept, centred, antialiased.

    An SVG is drawn in this size, whatever size it declares.

    Raises:
        PictureError: see `opened`; also for pixel data that cannot be decoded, and for an SVG that
            is damaged or refers to other files.
    """
    instance(bytes, data=data)
    at_least(1, side=side)
    if b"<svg" in data[:4096].lower() or data.lstrip()[:5] == b"<?xml":
        data = _drawn(data, side)
    picture = _on_white(opened(data))
    scale = side / max(picture.size)
    fitted = [max(1, round(length * scale)) for length in picture.size]
    resized = picture.resize(fitted, Image.Resampling.BICUBIC)
    square = Image.new("RGB", (side, side), "white")
    square.paste(resized, ((side - fitted[0]) // 2, (side - fitted[1]) // 2))
    return np.array(square)


def _tensor(picture: Image.Image) -> Tensor:
    """uint8 (3, H, W), its bytes in the order of the picture's."""
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


def _two(size: tuple[int, int]) -> list[int]:
    """Height and width, which must be two whole numbers of at least 1."""
    sizes = listed(int, size=size)
    if len(sizes) != 2 or min(sizes) < 1:
        raise ValueError(f"size must be a height and a width of at least 1, got {sizes}")
    return sizes


def _on_white(picture: Image.Image, least: tuple[int, int] | None = None) -> Image.Image:
    """RGB: the right way up, 16 bits scaled to 8, what is transparent put on white.

    Where at least (H, W) pixels are wanted, Pillow may decode a JPEG at a part of its size.
    """
    kind = picture.format
    try:
        if least is not None and isinstance(picture, JpegImageFile):
            lies = picture.getexif().get(ExifTags.Base.Orientation, 1) > 4  # on its side
            picture.draft(None, least if lies else least[::-1])
        picture = ImageOps.exif_transpose(picture)
        if picture.mode.startswith("I"):
            picture = Image.fromarray(np.rint(np.asarray(picture) / 257).astype(np.uint8))
        if not picture.has_transparency_data:
            return picture.convert("RGB")
        picture = picture.convert("RGBA")
    except (OSError, SyntaxError, ValueError, zlib.error) as error:
        raise PictureError(f"damaged {kind}, cannot be decoded: {error}") from error
    white = Image.new("RGBA", picture.size, "white")
    white.alpha_composite(picture)
    return white.convert("RGB")


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
