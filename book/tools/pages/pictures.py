"""Pictures that cells put out, as images: joined, trimmed, made small."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

from nbformat import NotebookNode
from PIL import Image, ImageChops, ImageOps

INLINE = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,([A-Za-z0-9+/=]+)")
WIDEST, CARD, GAP = 1200, (480, 270), 8  # pixels
MOST = 10  # images of a gallery that are shown


def drawn(cell: NotebookNode) -> Image.Image | None:
    """The first picture that the cell put out; the images of a gallery side by side."""
    for data in (output.get("data", {}) for output in cell.outputs):
        if "image/png" in data:
            return opened(data["image/png"])
        tiles = [opened(found) for found in INLINE.findall(data.get("text/html", ""))]
        if tiles:
            return side_by_side(tiles)
    return None


def opened(encoded: str) -> Image.Image:
    """An image from base64; what is transparent becomes white, as paper is."""
    image = Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGBA")
    paper = Image.new("RGBA", image.size, "white")
    paper.alpha_composite(image)
    return paper.convert("RGB")


def side_by_side(tiles: list[Image.Image]) -> Image.Image:
    """As many of the images as fill the rows of a sheet that is about twice as wide as high."""
    tiles = tiles[:MOST]
    shape = tiles[0].width / tiles[0].height
    sheets = [(rows, each) for rows in (1, 2, 3) for each in range(1, len(tiles) // rows + 1)]
    fitting = [(rows * each, rows) for rows, each in sheets if 1.6 < each * shape / rows < 2.1]
    count, rows = max(fitting, default=(len(tiles), 1))
    return mosaic(tiles[:count], rows)


def mosaic(tiles: list[Image.Image], rows: int = 2) -> Image.Image:
    """Images in rows of equal width, each row as high as that needs, none cropped."""
    each = -(-len(tiles) // rows)
    lines = [in_a_row(tiles[i : i + each]) for i in range(0, len(tiles), each)]
    sheet = Image.new("RGB", (WIDEST, sum(line.height + GAP for line in lines) - GAP), "white")
    top = 0
    for line in lines:
        sheet.paste(line, (0, top))
        top += line.height + GAP
    return sheet


def in_a_row(tiles: list[Image.Image]) -> Image.Image:
    """Images side by side, scaled to one height, `WIDEST` wide together."""
    shapes = [tile.width / tile.height for tile in tiles]
    height = round((WIDEST - GAP * (len(tiles) - 1)) / sum(shapes))
    line, left = Image.new("RGB", (WIDEST, height), "white"), 0
    for tile, shape in zip(tiles, shapes, strict=True):
        line.paste(tile.resize((round(shape * height), height)), (left, 0))
        left += round(shape * height) + GAP
    return line


def trimmed(picture: Image.Image) -> Image.Image:
    """Without its white margin; of a tower of panels, the upper part."""
    found = ImageChops.invert(picture.convert("L")).getbbox()
    left, top, right, bottom = found or (0, 0, *picture.size)
    tower = bottom - top > 1.5 * (right - left)
    return picture.crop((left, top, right, top + right - left if tower else bottom))


def on_card(picture: Image.Image) -> Image.Image:
    """As a card shows it: whole, in the middle of white."""
    return ImageOps.pad(picture, CARD, color="white")


def save(picture: Image.Image, path: Path) -> None:
    """As WebP, at most `WIDEST` wide."""
    picture.thumbnail((WIDEST, WIDEST))
    picture.save(path, quality=80, method=6)
