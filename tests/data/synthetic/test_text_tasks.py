"""The three text tasks: labels that are true, mirrors, splits that share nothing."""

import pytest
import torch

from mmtutor.data.shapes.scene import COLOURS
from mmtutor.data.splits import normalised
from mmtutor.data.synthetic.text_tasks import (
    LANGUAGES,
    bag_ceiling,
    language_of,
    leading_colour,
    recall,
)
from mmtutor.data.tokenizer import words


def test_the_leading_colour_is_what_the_caption_says():
    data = leading_colour("train", 200)
    for text, label in zip(data.column("text"), data.column("label").tolist(), strict=True):
        found = [word for word in words(text) if word in COLOURS]
        second = any(word in words(text) for word in ("right", "below", "under"))
        assert found[int(second)] == COLOURS[label]
        assert len(found) == 2


@pytest.mark.parametrize("language", ["en", "zh"])
def test_mirrors_have_the_same_words_and_another_label(language):
    data = leading_colour("test", 100, language)
    texts, label, group = (data.column(key) for key in ("text", "label", "group"))
    bags = [sorted(words(text)) for text in texts]
    assert bags[0::2] == bags[1::2]
    assert (label[0::2] != label[1::2]).all()
    assert torch.equal(group[0::2], group[1::2])
    assert bag_ceiling(bags, label.tolist()) == 0.5


def test_chinese_and_english_ask_the_same():
    both = [leading_colour("val", 50, language).column("label") for language in ("en", "zh")]
    assert torch.equal(*both)
    with pytest.raises(ValueError, match="language must be 'en' or 'zh', got 'fr'"):
        leading_colour("val", 50, "fr")


def test_the_ceiling_of_a_bag_by_hand():
    assert bag_ceiling([["a", "b"], ["b", "a"], ["a", "b"], ["c"]], [0, 1, 0, 1]) == 0.75


def test_recall_hides_its_symbol_behind_fillers():
    data = recall(200, fillers=3, symbols=4)
    tokens = data.column("tokens")
    assert tokens.shape == (200, 4)
    assert torch.equal(tokens[:, 0] - 2, data.column("label"))
    assert set(tokens[:, 0].tolist()) == {2, 3, 4, 5}
    assert set(tokens[:, 1:].flatten().tolist()) == {6, 7, 8, 9}


def test_language_splits_share_neither_pictures_nor_captions(stamps_cache):
    splits = {split: language_of(split) for split in ("train", "val", "test")}
    groups = {name: set(data.column("group").tolist()) for name, data in splits.items()}
    captions = {
        name: {
            (normalised(text), label)
            for text, label in zip(data.column("text"), data.column("label").tolist(), strict=True)
        }
        for name, data in splits.items()
    }
    for other in ("val", "test"):
        assert not groups["train"] & groups[other]
        assert not captions["train"] & captions[other]
    assert not groups["val"] & groups["test"]
    assert set(splits["test"].column("label").tolist()) == set(range(len(LANGUAGES)))
    assert len(splits["train"]) > 2 * len(splits["test"])


def test_an_unknown_language_or_split_is_named(stamps_cache):
    with pytest.raises(ValueError, match="no caption is in tlh"):
        language_of("test", ["en", "tlh"])
    with pytest.raises(ValueError, match="split must be 'train', 'val' or 'test', got 'dev'"):
        language_of("dev")


def test_bags_are_lists_and_labels_numbers():
    bags = [["a"], ["a"]]
    assert bag_ceiling(bags, torch.tensor([1, 1])) == 1.0
    with pytest.raises(TypeError, match="bags must be a list"):
        bag_ceiling(["ab", "ba"], [0, 1])
