"""Small inputs on which public data code of other projects went wrong."""

import io
from typing import NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from mmtutor.data import Dataset, loader
from mmtutor.data.fetch.pictures import decode
from mmtutor.data.hub.flickr30k import load_flickr30k, read_picture
from mmtutor.data.hub.vqav2 import load_vqav2
from mmtutor.data.tokenizer import SubwordTokenizer, words
from mmtutor.data.transforms import RandomFlip
from mmtutor.evaluation.retrieval.recall import evaluate_retrieval
from tests.cases.outcome import outcome


def png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


PICTURE = {"bytes": png(Image.new("RGB", (4, 4))), "path": None}


def rows_of(rows):
    """A set of the hub's kind with the column `image`."""
    import datasets

    return datasets.Dataset.from_list(rows).cast_column("image", datasets.Image())


@pytest.fixture(autouse=True)
def _quiet():
    import datasets

    datasets.disable_progress_bars()


@pytest.mark.parametrize("ids", [["003a8ae2", "004"], [None, 7]])
def test_a_vqa_table_whose_image_id_is_a_string_or_missing(ids, tmp_path):
    import datasets

    row = {"image": PICTURE, "question": "q", "answers": ["a"] * 10}
    rows = rows_of([row | {"image_id": i} for i in ids])
    datasets.DatasetDict(validation=rows).save_to_disk(tmp_path)
    refused, got = outcome(lambda: load_vqav2(str(tmp_path)).column("image_id"))
    assert not refused or "image_id" in got


def test_flickr30k_with_a_bad_limit_or_a_row_without_a_picture(tmp_path):
    row = {"caption": ["a dog"], "split": "test"}

    def kept(name, pictures):
        rows_of([row | {"image": picture} for picture in pictures]).save_to_disk(tmp_path / name)
        return str(tmp_path / name)

    full, holes = kept("full", [PICTURE, PICTURE]), kept("holes", [PICTURE, None])
    assert outcome(lambda: load_flickr30k(full, limit=0))[0]
    assert "limit" in str(outcome(lambda: load_flickr30k(full, limit=-1))[1])
    refused, got = outcome(lambda: load_flickr30k(holes)[1])
    assert refused
    assert "NoneType" not in got


@pytest.mark.parametrize(
    "read",
    [
        lambda data: read_picture(data)[0, 0, ::32],
        lambda data: torch.tensor(decode(data, 256)[128, ::32, 0]),
    ],
    ids=["read_picture", "decode"],
)
def test_a_grey_picture_of_16_bits(read):
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)[None].repeat(256, 0)
    refused, got = outcome(lambda: read(png(Image.fromarray(ramp))))
    right = torch.tensor((ramp[0] >> 8)[::32].astype(int))
    assert refused or (got.int() - right).abs().max() <= 1


@pytest.mark.parametrize("text", ["हिन्दी", "กำลัง", "தமிழ்", "كِتَاب", "İstanbul"])
def test_a_word_with_combining_marks_is_one_word(text):
    assert len(words(text)) == 1


def test_the_name_of_a_special_token_in_a_text():
    tokenizer = SubwordTokenizer.fit(["a small red circle"], 300)
    ids = tokenizer.encode("a <pad> b")
    assert 0 not in ids
    assert "<pad>" in tokenizer.decode(ids)


@pytest.mark.parametrize("swap_words", [False, True])
def test_a_mirrored_picture_whose_caption_names_a_side(swap_words):
    image = torch.zeros(3, 4, 4, dtype=torch.uint8)
    image[:, :, 0] = 200
    flip = RandomFlip(p=1.0, swap_words=swap_words)
    for caption in (
        "the leftmost ring",
        "the rightmost side",
        "lefthand corner",
        "looking leftwards",
        "a right-handed man",
        "top_left",
    ):
        flipped = flip({"image": image, "caption": caption})
        assert torch.equal(flipped["image"], image) or flipped["caption"] != caption, caption


class Pair(NamedTuple):
    image: Tensor
    text: Tensor


class Given(nn.Module):
    """Embeddings that are already in the batch."""

    def forward(self, batch):
        return Pair(batch["a"], batch["b"])


def test_a_column_of_numpy_numbers_stays_in_the_batch():
    images = torch.eye(3).repeat_interleave(2, 0)
    texts = images.clone()
    texts[0::2] *= 0.5  # its partner scores higher than a picture's own text
    groups = [0, 0, 1, 1, 2, 2]
    recalls = [
        evaluate_retrieval(Given(), loader(Dataset({"a": images, "b": texts, "group": column}), 2))
        for column in (torch.tensor(groups), [np.int64(group) for group in groups])
    ]
    assert recalls[0]["image_to_text_recall_at_1"] == recalls[1]["image_to_text_recall_at_1"]


def test_a_subset_by_an_integer_mask_or_by_fractions():
    letters = Dataset({"s": list("abcde")})
    mask = torch.tensor([0, 1, 0, 1, 1], dtype=torch.uint8)
    refused, got = outcome(lambda: letters.subset(mask).column("s"))
    assert refused or got == list("bde")
    assert outcome(lambda: letters.subset([0.9, 1.7]).column("s"))[0]
