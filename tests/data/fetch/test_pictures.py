"""Pictures: headers are judged before any decoder runs, and results lie on white squares."""

import base64
import io
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image, ImageFile, ImageOps

from mmtutor.data.fetch import pictures
from mmtutor.data.fetch.pictures import PictureError, decode, opened, read_picture
from tests.data.debs import bomb, chunk, png, svg

RED, WHITE = [255, 0, 0], [255, 255, 255]


def encoded(picture: Image.Image, **options) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG", **options)
    return out.getvalue()


@pytest.fixture
def no_decoder(monkeypatch):
    """Fail if Pillow or resvg are asked to decode anything; Pillow may read a header."""

    def refuse(*args, **kwargs):
        pytest.fail("a decoder ran")

    monkeypatch.setattr(ImageFile.ImageFile, "load", refuse)
    monkeypatch.setattr("resvg_py.svg_to_bytes", refuse)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_every_kind_of_png_is_decoded(mode):
    picture = decode(png(0, mode), 32)
    assert picture.shape == (32, 32, 3)
    assert picture.dtype == np.uint8
    assert opened(png(0, mode)).size == (24, 16)


def test_a_wide_picture_is_centred_on_white():
    picture = decode(encoded(Image.new("RGB", (40, 20), "red")), 16)
    assert picture[4:12].reshape(-1, 3).tolist() == [RED] * 128
    assert picture[[0, 3, 12, 15]].reshape(-1, 3).tolist() == [WHITE] * 64


def test_transparent_pixels_become_white_also_in_a_palette():
    clear = encoded(Image.new("RGBA", (8, 8), (0, 0, 0, 0)))
    assert (decode(clear, 8) == 255).all()
    palette = Image.new("P", (8, 8), 0)
    palette.putpalette([0, 0, 0, 255, 0, 0])
    palette.putpixel((0, 0), 1)
    picture = decode(encoded(palette, transparency=0), 8)
    assert picture[0, 0].tolist() == RED
    assert picture[1:].min() == 255


def test_shrinking_averages_instead_of_skipping():
    stripes = np.zeros((64, 64), np.uint8)
    stripes[:, ::2] = 255
    picture = decode(encoded(Image.fromarray(stripes)), 16)
    assert np.abs(picture.astype(int) - 127).max() < 20


@pytest.mark.parametrize(
    ("attributes", "size"),
    [
        ('width="40" height="20"', (16, 8)),
        ('width="40px" height="20px" viewBox="0 0 1 1"', (16, 8)),
        ('width="30pt" height="15pt"', (16, 8)),
        ('width="1in" height="2.54cm"', (16, 16)),
        ('viewBox="0 0 40 20"', (16, 8)),
        ('width="100%" height="100%" viewBox="0,0,40,20"', (16, 8)),
        ('width="10" height="20"', (8, 16)),
        # Whatever size it declares, it is drawn in ours.
        ('width="50000" height="50000"', (16, 16)),
        ('width="100000" height="1"', (16, 1)),
        ('viewBox="0 0 nan 5"', (16, 16)),
        ("", (16, 16)),
    ],
)
def test_the_size_of_an_svg(attributes, size):
    body = '<rect x="-999999" y="-999999" width="9999999" height="9999999" fill="red"/>'
    picture = decode(svg(attributes, body), 16)
    assert picture.shape == (16, 16, 3)
    red = (picture == RED).all(axis=2)
    assert (red.any(axis=0).sum(), red.any(axis=1).sum()) == size


@pytest.mark.parametrize("unit", ["", "pt"])
def test_an_svg_is_drawn_on_a_white_square(unit):
    body = '<rect width="100%" height="100%" fill="red"/>'
    picture = decode(svg(f'width="40{unit}" height="20{unit}"', body), 16)
    assert picture[5:11].reshape(-1, 3).tolist() == [RED] * 96
    assert picture[[0, 2, 13, 15]].reshape(-1, 3).tolist() == [WHITE] * 64


@pytest.mark.usefixtures("no_decoder")
class TestRefusedUnseen:
    """What is refused from the header alone."""

    def test_a_small_file_of_144_megapixels(self):
        data = bomb(12_000, 12_000)
        assert len(data) < 200_000
        with pytest.raises(PictureError, match="12000 x 12000 pixels: at most 16000000"):
            decode(data, 224)

    def test_a_picture_bomb_inside_an_svg(self):
        inner = base64.b64encode(bomb(5_000, 5_000)).decode()
        data = svg(body=f'<image href="data:image/png;base64,{inner}"/>')
        with pytest.raises(PictureError, match="5000 x 5000 pixels"):
            decode(data, 224)

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            (b"", "cannot be decoded as PNG"),
            (b"GIF89a" + bytes(50), "cannot be decoded as PNG"),
            (png()[:20], "cannot be decoded as PNG"),
            (png()[:16] + b"\xff" + png()[17:], "cannot be decoded as PNG"),
            (png()[:8] + chunk(b"IHDR", bytes(13)), "cannot be decoded as PNG"),
            (svg('width="9" height="9"', "<g>"), "damaged SVG"),
            (b'<?xml version="1.0"?><html><svg/></html>', "root element is <html>"),
            (svg(body='<image href="/etc/passwd"/>'), "another file"),
            (svg(body='<image href="other.png"/>'), "another file"),
            (svg(body='<filter><feImage href="https://x/y.png"/></filter>'), "another file"),
            (svg(body='<image href="data:image/svg+xml;base64,AAAA"/>'), "another file"),
            (svg(body='<image href="data:image/png;base64,A"/>'), "damaged picture embedded"),
            (svg(body='<image href="data:image/png;base64,AAAA"/>'), "damaged picture embedded"),
        ],
    )
    def test_other_hostile_or_damaged_files(self, data, message):
        with pytest.raises(PictureError, match=message):
            decode(data, 224)

    def test_entities_that_multiply(self):
        entities = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 20}">' for i in range(1, 9))
        text = f'<!DOCTYPE svg [<!ENTITY e0 "{"x" * 99}">{entities}]>'
        data = text.encode() + svg(body="<desc>&e8;</desc>")
        with pytest.raises(PictureError, match="damaged SVG"):
            decode(data, 224)


@pytest.mark.parametrize("attributes", ['width="0" height="5"', 'width="1e200" height="1e200"'])
def test_an_svg_of_no_size_is_refused(attributes):
    with pytest.raises(PictureError, match="invalid size"):
        decode(svg(attributes), 224)


def test_pixels_that_cannot_be_decoded_are_an_error():
    whole = png(size=(200, 200))
    for data in (whole[: len(whole) // 2], whole[:60] + bytes(20) + whole[80:]):
        with pytest.raises(PictureError, match="damaged PNG"):
            decode(data, 32)


def test_no_single_changed_byte_gives_another_error():
    rng = np.random.default_rng(0)
    originals = [png(1), svg(body='<rect width="9" height="9" fill="red"/>')]
    for data in originals:
        for position in rng.integers(0, len(data), 150):
            changed = bytearray(data)
            changed[position] ^= 1 << rng.integers(8)
            with suppress(PictureError):
                assert decode(bytes(changed), 16).shape == (16, 16, 3)


def test_the_limit_is_on_pixels_not_on_bytes(monkeypatch):
    monkeypatch.setattr(pictures, "MAX_PIXELS", 24 * 16)
    assert opened(png()).size == (24, 16)
    monkeypatch.setattr(pictures, "MAX_PIXELS", 24 * 16 - 1)
    with pytest.raises(PictureError, match="at most 383"):
        opened(png())


def wavy(height: int, width: int, mode: str = "RGB") -> Image.Image:
    """A picture without symmetry, its waves a few pixels long and longer."""
    down, right = np.mgrid[:height, :width]
    waves = [
        np.sin(down / a) + np.cos(right / b + c) for a, b, c in ((5, 9, 0), (30, 7, 1), (8, 40, 2))
    ]
    levels = 127 + 60 * np.stack(waves, -1) * (0.4 + 0.6 * right[..., None] / width)
    return Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8)).convert(mode)


def written(picture: Image.Image, kind: str, **options) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def resized_whole(data: bytes, size: tuple[int, int]) -> np.ndarray:
    """int [3, H, W]: all of it decoded, turned, resized."""
    whole = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    return np.array(whole.resize(size[::-1], Image.Resampling.BILINEAR), int).transpose(2, 0, 1)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 7])
@pytest.mark.parametrize("size", [(30, 60), (40, 50), (61, 97), (224, 224)])
def test_a_smaller_jpeg_looks_as_if_resized_whole(mode, orientation, size):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = written(wavy(200, 300, mode), "JPEG", quality=95, exif=exif)
    read = read_picture(data, size).numpy().astype(int)
    assert read.shape == (3, *size)
    difference = np.abs(read - resized_whole(data, size))
    assert difference.mean() < 2
    assert difference.mean() < np.abs(read[:, ::-1] - read).mean() / 4  # and not upside down


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_other_formats_are_resized_from_all_their_pixels(kind):
    data = written(wavy(200, 300), kind, **({"lossless": True} if kind == "WEBP" else {}))
    read = read_picture(data, (30, 60)).numpy().astype(int)
    assert np.abs(read - resized_whole(data, (30, 60))).max() <= 1  # rounding


@pytest.mark.parametrize(
    ("orientation", "size", "decoded"),
    [
        (1, (51, 70), (150, 100)),  # a quarter would have too few rows
        (1, (50, 76), (150, 100)),  # and here columns
        (1, (49, 74), (75, 50)),
        (1, (101, 10), (300, 200)),  # half would have too few rows
        (6, (74, 50), (75, 50)),  # on its side
        (6, (50, 74), (150, 100)),
    ],
)
def test_no_fewer_pixels_are_decoded_than_asked_for(orientation, size, decoded, monkeypatch):
    loaded, load = [], ImageFile.ImageFile.load
    monkeypatch.setattr(
        ImageFile.ImageFile, "load", lambda self: loaded.append(self.size) or load(self)
    )
    exif = Image.Exif()
    exif[0x0112] = orientation
    read_picture(written(wavy(200, 300), "JPEG", exif=exif), size)
    assert loaded[0] == decoded


def test_a_damaged_jpeg_is_refused_at_every_size():
    data = written(wavy(200, 300), "JPEG")
    for size in (None, (20, 20)):
        with pytest.raises(PictureError, match="damaged JPEG"):
            read_picture(data[:-2000], size)


def test_sizes_are_two_numbers():
    data = written(wavy(20, 30), "JPEG")
    for size in ((20,), (20, 0), (20, 20, 20)):
        with pytest.raises(ValueError, match=r"size must be a height and a width of at least 1"):
            read_picture(data, size)
