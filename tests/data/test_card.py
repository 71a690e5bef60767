"""What the card of a data set counts, on sets whose faults were put there."""

from collections import Counter

import numpy as np
import pytest
import torch

from mmtutor.data import Dataset
from mmtutor.data.card import card
from mmtutor.data.splits import near_duplicate_pairs


def blocks(seed: int, side: int = 32) -> torch.Tensor:
    """A random image, uint8 (3, side, side), of 4 x 4 blocks."""
    small = torch.from_numpy(np.random.default_rng(seed).integers(0, 255, (3, 4, 4), np.uint8))
    return small.repeat_interleave(side // 4, 1).repeat_interleave(side // 4, 2)


def flawed() -> Dataset:
    return Dataset(
        {
            "image": torch.stack([blocks(seed) for seed in (1, 2, 1, 1, 3)]),
            "caption": ["a cat", "a dog", "a cat", "a cow", ""],
            "label": torch.tensor([0, 1, 2, 0, -1]),
            "kinds": [["x", "y"], ["x"], [], ["z"], ["x"]],
            "languages": [{"en": 1}, {"en": 1, "zh": 2}, {}, {"zh": 1}, {"en": ""}],
        }
    )


def test_what_repeats_and_what_contradicts():
    by_image = card(flawed(), ["image"], target="label")
    assert (by_image.examples, by_image.repeated, by_image.contradicted) == (5, 2, 3)
    by_both = card(flawed(), ["image", "caption"], target="label")
    assert (by_both.repeated, by_both.contradicted) == (1, 2)
    assert card(flawed(), ["image"])[3:] == (None, None, None, None)


def test_which_values_occur():
    counted = card(flawed(), ["image"], count=["caption", "label", "kinds", "languages"]).values
    assert counted["caption"] == Counter({"a cat": 2, "a dog": 1, "a cow": 1})
    assert counted["label"] == Counter({0: 2, 1: 1, 2: 1})
    assert counted["kinds"] == Counter({"x": 3, "y": 1, "z": 1})
    assert counted["languages"] == Counter({"en": 3, "zh": 2})


def test_leaks_equal_and_near():
    held_out = Dataset({"image": torch.stack([blocks(1), blocks(2) // 2 + 20, blocks(9)])})
    found = card(flawed(), ["image"], held_out=held_out, near="image")
    assert (found.leaked, found.near_leaked, found.near) == (1, 2, 2)
    apart = Dataset({"image": torch.stack([blocks(8), blocks(9)])})
    assert card(flawed(), ["image"], held_out=apart, near="image")[5:] == (0, 0)


@pytest.mark.parametrize("side", [28, 20, 48])
def test_images_of_any_size_and_in_a_list(side):
    images = [blocks(1, side), blocks(2, side), blocks(1, side).flip(2)]
    assert card(Dataset({"image": images}), ["image"], near="image").near == 1


def test_images_of_several_sizes_are_refused():
    data = Dataset({"image": [blocks(1, 32), blocks(2, 48)]})
    with pytest.raises(ValueError, match="near must be a column of images of one size"):
        card(data, ["image"], near="image")


def test_floats_are_refused():
    data = Dataset({"image": torch.rand(2, 3, 28, 28)})
    with pytest.raises(ValueError, match="the dtype of near must be"):
        card(data, ["image"], near="image")


def test_pairs_do_not_depend_on_how_many_are_compared_at_once(monkeypatch):
    images = torch.stack([blocks(seed % 5) for seed in range(12)]).numpy()
    at_once = near_duplicate_pairs(images)
    monkeypatch.setattr("mmtutor.data.splits.BLOCK", 5)
    assert near_duplicate_pairs(images).tolist() == at_once.tolist()
    assert len(at_once) == 2 * 3 + 3 * 1
