"""Flickr30k from a local stand-in: splits, captions, and pictures read safely."""

import io
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from mmtutor.data.fetch.pictures import PictureError, decode
from mmtutor.data.hub.flickr30k import load_flickr30k, one_row_per_caption, read_picture
from tests.hub_standins import flickr_rows, picture, save_flickr30k

pytestmark = pytest.mark.usefixtures("own_datasets_cache")

COUNTS = {"train": 7, "val": 2, "test": 5}


@pytest.fixture
def folder(tmp_path):
    return save_flickr30k(tmp_path / "flickr", flickr_rows(COUNTS))


def test_a_split_has_its_own_images_five_captions_each_and_one_group_an_image(folder):
    test = load_flickr30k(folder, "test")
    assert len(test) == 5
    assert test.column("group").tolist() == [9, 10, 11, 12, 13]
    assert test.column("name") == [f"{row:04d}.png" for row in range(9, 14)]
    assert [len(captions) for captions in test.column("captions")] == [5] * 5
    assert test.column("captions")[0] == flickr_rows(COUNTS)["caption"][9]


def test_pictures_keep_their_own_size_and_pixels(folder):
    test = load_flickr30k(folder, "test")
    for index, row in enumerate(range(9, 14)):
        expected = np.asarray(Image.open(io.BytesIO(picture(row))))
        image = test[index]["image"]
        assert image.dtype == torch.uint8
        assert (image.permute(1, 2, 0).numpy() == expected).all()
    assert test[0]["image"].shape != test[1]["image"].shape


def test_validation_is_another_name_of_val_and_limit_keeps_the_first(folder):
    assert load_flickr30k(folder, "validation").column("group").tolist() == [7, 8]
    limited = load_flickr30k(folder, "train", limit=3)
    assert limited.column("group").tolist() == [0, 1, 2]
    assert len(load_flickr30k(folder, "val", limit=99)) == 2


def test_one_row_per_caption_repeats_the_image_under_its_group(folder):
    images = load_flickr30k(folder, "test")
    pairs = one_row_per_caption(images)
    assert pairs.column("group").tolist() == [group for group in range(9, 14) for _ in range(5)]
    assert pairs.column("caption")[7] == images.column("captions")[1][2]
    assert torch.equal(pairs[7]["image"], images[1]["image"])
    assert "captions" not in pairs.columns


def test_a_folder_saved_by_datasets_with_one_part_a_split(tmp_path):
    import datasets

    columns = flickr_rows({"all": 6})
    table = datasets.Dataset.from_dict({key: columns[key] for key in ("image", "caption")})
    table = table.cast_column("image", datasets.Image())
    parts = {"train": table.select(range(4)), "validation": table.select([4, 5])}
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "saved")
    val = load_flickr30k(tmp_path / "saved", "val")
    assert val.column("name") == ["row 4", "row 5"]
    assert val[1]["image"].shape[0] == 3


@pytest.mark.parametrize("missing", ["image", "caption"])
def test_a_missing_column_is_named_with_those_present(tmp_path, missing):
    columns = flickr_rows(COUNTS)
    del columns[missing]
    save_flickr30k(tmp_path / "bad", columns)
    with pytest.raises(ValueError, match=rf"no column {missing}; it has .*split"):
        load_flickr30k(tmp_path / "bad", "test")


def test_a_table_without_karpathy_splits_is_refused(tmp_path):
    columns = flickr_rows({"test": 3})
    del columns["split"]
    save_flickr30k(tmp_path / "bad", columns)
    with pytest.raises(ValueError, match=r"no split 'train' .* it has test"):
        load_flickr30k(tmp_path / "bad", "train")


def test_captions_that_are_no_list_of_strings_name_their_row(tmp_path):
    columns = flickr_rows(COUNTS)
    columns["caption"][11] = []
    save_flickr30k(tmp_path / "bad", columns)
    with pytest.raises(ValueError, match=r"bad, row 11, column caption: \[\], expected a list"):
        load_flickr30k(tmp_path / "bad", "test")


def test_wrong_sources_and_splits_say_what_was_expected(tmp_path, folder):
    with pytest.raises(ValueError, match=r"split must be 'train', .* got 'dev'"):
        load_flickr30k(folder, "dev")
    with pytest.raises(FileNotFoundError, match="neither a local folder nor a hub id"):
        load_flickr30k("/no/such/folder")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no parquet file"):
        load_flickr30k(tmp_path / "empty")


def test_a_damaged_picture_stops_only_the_example_that_holds_it(tmp_path):
    columns = flickr_rows(COUNTS)
    columns["image"][10]["bytes"] = columns["image"][10]["bytes"][:60]
    test = load_flickr30k(save_flickr30k(tmp_path / "bad", columns), "test")
    assert test[0]["image"].shape[0] == 3
    with pytest.raises(PictureError, match=r"picture 0010\.png: damaged PNG, cannot"):
        test[1]
    assert test.subset([2, 3])[0]["name"] == "0011.png"


def jpeg(width, height, **options):
    written = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(written, "JPEG", **options)
    return written.getvalue()


def png_header(side):
    size = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    pixels = b"IDAT" + zlib.compress(b"")
    chunks = [
        struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in (size, pixels)
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize("side", [12_000, 40_000])
def test_a_small_file_of_many_pixels_is_refused_before_it_is_decoded(side, monkeypatch):
    monkeypatch.setattr(Image.Image, "convert", lambda *_: pytest.fail("decoded"))
    with pytest.raises(PictureError, match=r"pixels: at most|exceeds limit"):
        read_picture(png_header(side))


def test_jpeg_is_read_and_turned_the_right_way_up():
    assert read_picture(jpeg(30, 20)).shape == (3, 20, 30)
    turned = Image.Exif()
    turned[0x0112] = 6  # the camera was held on its side
    assert read_picture(jpeg(30, 20, exif=turned)).shape == (3, 30, 20)


def encoded(image, kind, **options):
    written = io.BytesIO()
    image.save(written, kind, **options)
    return written.getvalue()


def test_other_formats_and_empty_files_are_refused_in_words():
    for data, said in (
        (encoded(Image.new("RGB", (4, 4)), "BMP"), r"it begins with b'BM"),
        (b"", "the file is empty"),
        (b"<svg/>", r"it begins with b'<svg/>'"),
    ):
        with pytest.raises(PictureError, match=f"cannot be decoded as JPEG or PNG or WEBP: {said}"):
            read_picture(data)


def test_webp_is_read():
    picture = Image.new("RGB", (6, 4), (200, 30, 30))
    read = read_picture(encoded(picture, "WEBP", lossless=True))
    assert read.shape == (3, 4, 6)
    assert read[:, 0, 0].tolist() == [200, 30, 30]


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_lies_on_white_as_in_every_loader(mode):
    picture = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    picture.paste((0, 0, 0, 255), (0, 0, 4, 8))
    data = encoded(picture.convert(mode), "PNG")
    read = read_picture(data)
    assert read[:, 0, [0, 7]].tolist() == [[0, 255]] * 3
    assert torch.equal(read.permute(1, 2, 0), torch.tensor(decode(data, 8)))


def test_one_without_a_list_of_captions_and_one_that_is_no_string_are_named(folder):
    images = load_flickr30k(folder, "test")
    for captions in (["a dog"] * 5, [["a dog"]] * 4 + [[]], [["a dog"]] * 4 + [[None]]):
        with pytest.raises(ValueError, match=r"row \d, column captions: .*expected a list of str"):
            one_row_per_caption(images.with_column("captions", captions))


def test_a_name_that_is_none_is_the_row(tmp_path):
    columns = flickr_rows(COUNTS)
    columns["filename"][9] = None
    test = load_flickr30k(save_flickr30k(tmp_path / "flickr", columns), "test")
    assert test.column("name")[:2] == ["row 9", "0010.png"]


@pytest.mark.parametrize("limit", [0, -1, 2.5, "3", True])
def test_a_limit_that_is_no_count_is_named(folder, limit):
    with pytest.raises((ValueError, TypeError), match="limit must be a whole number of at least 1"):
        load_flickr30k(folder, limit=limit)


def test_a_row_without_a_picture_is_named_when_it_is_read(tmp_path):
    columns = flickr_rows(COUNTS)
    columns["image"][11] = None
    test = load_flickr30k(save_flickr30k(tmp_path / "holes", columns), "test")
    with pytest.raises(PictureError, match=r"holes, row 2 read, column image: picture 0011\.png"):
        test[2]
