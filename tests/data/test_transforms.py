"""Transforms: hand-computed cases, probabilities, determinism, workers, bad input."""

import pytest
import torch
from torchvision.transforms import v2

from mmtutor.data import Dataset, loader
from mmtutor.data.tokenizer import WordTokenizer
from mmtutor.data.transforms import (
    SHAPES_SYNONYMS,
    Compose,
    ImageTransform,
    RandomFlip,
    SynonymReplacement,
    Tokenize,
    WordDropout,
)


def picture(height=4, width=5):
    """Every pixel of every channel has its own value."""
    return torch.arange(3 * height * width, dtype=torch.uint8).reshape(3, height, width)


@pytest.mark.parametrize(
    ("transform", "options"),
    [
        (ImageTransform, {"transform": v2.RandomCrop(3, padding=2, padding_mode="edge")}),
        (ImageTransform, {"transform": v2.ColorJitter(0.2, 0.2, 0.2)}),
        (RandomFlip, {"swap_words": True}),
        (SynonymReplacement, {}),
        (WordDropout, {}),
    ],
)
def test_the_seed_decides_and_the_input_is_not_changed(transform, options):
    example = {"image": picture(), "caption": "a small ring left of a large circle", "label": 3}
    before = {"image": example["image"].clone(), "caption": example["caption"]}

    def outcomes(seed):
        fresh = transform(**options, seed=seed)
        results = [fresh(example) for _ in range(30)]
        assert all(result["label"] == 3 for result in results)
        return [(result["image"].tolist(), result["caption"]) for result in results]

    first = outcomes(0)
    assert first == outcomes(0)
    assert first != outcomes(1)
    assert any(outcome != first[0] for outcome in first), "calls differ from one another"
    assert torch.equal(example["image"], before["image"])
    assert example["caption"] == before["caption"]
    with pytest.raises(ValueError, match=r"seed must be a whole number of at least 0, got -1"):
        outcomes(-1)


def test_compose_and_tokenize():
    tokenizer = WordTokenizer.fit(["red circle"])
    both = Compose([lambda e: {**e, "caption": e["caption"] + " red"}, Tokenize(tokenizer)])
    result = both({"caption": "circle"})
    assert result["tokens"].tolist() == tokenizer.encode("circle red")
    assert result["tokens"].dtype == torch.int64
    assert Compose([])({"a": 1}) == {"a": 1}


def test_a_transform_of_torchvision_changes_the_picture_alone():
    image = torch.tensor([0, 100, 200, 100], dtype=torch.uint8).reshape(1, 2, 2).expand(3, 2, 2)
    shrunk = ImageTransform(v2.Resize(1))({"image": image, "masks": image > 50})
    assert shrunk["image"].tolist() == [[[100]]] * 3
    assert shrunk["masks"].equal(image > 50)


def test_crop_is_a_window_of_the_picture():
    image, crop, corners = picture(), ImageTransform(v2.RandomCrop(3)), set()
    for _ in range(100):
        cut = crop({"image": image})["image"]
        row, column = divmod(cut[0, 0, 0].item(), 5)
        assert torch.equal(cut, image[:, row : row + 3, column : column + 3])
        corners.add((row, column))
    assert corners == {(row, column) for row in range(2) for column in range(3)}


def test_nobody_elses_random_numbers_are_used_or_matter():
    crop, again = (ImageTransform(v2.RandomCrop(2), seed=3) for _ in range(2))
    torch.manual_seed(0)
    state = torch.get_rng_state()
    first = crop({"image": picture()})["image"]
    assert torch.get_rng_state().equal(state)
    torch.manual_seed(1)
    assert again({"image": picture()})["image"].equal(first)


def test_flip_without_sides_flips_picture_and_masks():
    example = {
        "image": picture(),
        "masks": torch.eye(3, dtype=torch.bool)[None],
        "caption": "a cat",
    }
    flipped = RandomFlip(p=1.0)(example)
    assert torch.equal(flipped["image"], example["image"].flip(-1))
    assert torch.equal(flipped["masks"], example["masks"].flip(-1))
    assert flipped["caption"] == "a cat"
    assert RandomFlip(p=0.0)(example)["image"] is example["image"]


@pytest.mark.parametrize("caption", ["a cat left of a dog", "On the Right", "猫在左边"])
def test_flip_leaves_a_sided_caption_and_its_picture_alone(caption):
    example = {"image": picture(), "caption": caption}
    assert RandomFlip(p=1.0)(example) is example


def test_flip_exchanges_left_and_right_in_both_languages():
    example = {
        "image": picture(),
        "caption": "Left of the right cat is leftover bright",
        "caption_zh": "左侧的猫在右边",
    }
    flipped = RandomFlip(p=1.0, swap_words=True)(example)
    assert flipped["caption"] == "Right of the left cat is leftover bright"
    assert flipped["caption_zh"] == "右侧的猫在左边"
    assert torch.equal(flipped["image"], example["image"].flip(-1))
    assert RandomFlip(p=1.0, swap_words=True)(flipped)["caption"] == example["caption"]


def test_flip_after_tokenize_is_refused():
    with pytest.raises(ValueError, match="RandomFlip must come before Tokenize"):
        RandomFlip()({"image": picture(), "tokens": torch.tensor([1])})


def test_flip_happens_about_as_often_as_asked():
    flip, image = RandomFlip(p=0.25), picture()
    flips = sum(flip({"image": image})["image"] is not image for _ in range(2000))
    assert 400 < flips < 600  # 500 expected, standard deviation 19


def test_synonyms_replace_whole_words_only():
    always = SynonymReplacement({"large": ["big"], "ring": ["hoop"]}, p=1.0)
    example = {"caption": "A Large ring, a larger string", "tags": 1}
    assert always(example) == {"caption": "A big hoop, a larger string", "tags": 1}
    assert SynonymReplacement(p=0.0)(example) == example
    chinese = SynonymReplacement({"large": ["big"]}, p=1.0, field="caption_zh")
    assert chinese({"caption_zh": "大圆环"}) == {"caption_zh": "大圆环"}


def test_every_synonym_is_used():
    replace, seen = SynonymReplacement(p=0.5), set()
    for _ in range(200):
        seen |= set(replace({"caption": "small"})["caption"].split())
    assert seen == {"small", *SHAPES_SYNONYMS["small"]}


def test_word_dropout_keeps_order_and_at_least_one_word():
    drop, kept = WordDropout(0.5), []
    for _ in range(400):
        words = drop({"caption": "1 2 3 4"})["caption"].split()
        assert words == sorted(words)
        kept.append(len(words))
    assert min(kept) == 1
    assert 1.7 < sum(kept) / len(kept) < 2.4  # 2 + 1/16 expected
    assert {WordDropout(1.0, seed=s)({"caption": "a b"})["caption"] for s in range(20)} == {
        "a",
        "b",
    }
    assert WordDropout(0.0)({"caption": "a  b"})["caption"] == "a b"
    assert WordDropout(1.0)({"caption": "一只猫"})["caption"] == "一只猫"
    assert WordDropout(1.0)({"caption": ""})["caption"] == ""


def test_transforms_of_one_seed_do_not_move_in_step():
    flip, replace = RandomFlip(0.5), SynonymReplacement({"a": ["b"]}, p=0.5)
    pairs = set()
    for _ in range(60):
        flipped = flip({"image": picture()})["image"][0, 0, 0] != 0
        pairs.add((bool(flipped), replace({"caption": "a"})["caption"]))
    assert len(pairs) == 4


def test_workers_and_epochs_draw_different_numbers():
    ids = torch.arange(8)
    words = Dataset({"id": ids, "caption": ["0 1 2 3 4 5 6 7 8 9"] * 8})
    read = Compose([WordDropout(0.5), Tokenize(WordTokenizer([*"0123456789"]))])

    def epochs():
        batches = loader(words.with_transform(read), 4, workers=2, seed=5)
        return [[batch["tokens"].tolist() for batch in batches] for _ in range(2)]

    first = epochs()
    assert first == epochs()
    assert first[0][0] != first[0][1], "the second worker repeats the first"
    assert first[0] != first[1], "the second epoch repeats the first"


@pytest.mark.parametrize(
    ("transform", "example", "error", "message"),
    [
        (
            ImageTransform(v2.Resize(3)),
            {"caption": "a"},
            KeyError,
            "has no 'image'; it has caption",
        ),
        (
            ImageTransform(v2.RandomCrop(9)),
            {"image": picture()},
            ValueError,
            r"crop size \(9, 9\) is larger than input image size \(4, 5\)",
        ),
        (WordDropout(), {"image": picture()}, KeyError, "no text 'caption'; it has image"),
        (Tokenize(WordTokenizer(["a"])), {"caption": ""}, ValueError, "no word to encode"),
    ],
)
def test_bad_examples_are_named(transform, example, error, message):
    with pytest.raises(error, match=message):
        transform(example)


@pytest.mark.parametrize("make", [RandomFlip, WordDropout, lambda p: SynonymReplacement(p=p)])
def test_a_probability_outside_0_to_1_is_refused(make):
    with pytest.raises(ValueError, match=r"p must be in \[0, 1\], got 1.5"):
        make(1.5)


@pytest.mark.parametrize(
    ("text", "mirrored"),
    [
        ("topLeft, upper-right LEFT", "topRight, upper-left RIGHT"),
        ("Leftmost of the bottomright", "Rightmost of the bottomleft"),
        (["left", "a cat"], ["right", "a cat"]),
        ({"en": "left", "zh": "左"}, {"en": "right", "zh": "右"}),
        ("bright leftovers, upright, copyright", "bright leftovers, upright, copyright"),
    ],
)
def test_a_side_is_found_in_any_column_that_holds_text(text, mirrored):
    example = {"image": picture(), "caption": "a cat", "note": text}
    flipped = RandomFlip(p=1.0, swap_words=True)(example)
    assert flipped["note"] == mirrored
    assert flipped["image"].equal(example["image"].flip(-1))
    for flip in (RandomFlip(p=1.0), RandomFlip(p=1.0, swap_words=True, captions=["caption"])):
        assert (flip(example) is example) == (text != mirrored)


def test_lists_that_are_strings_are_refused():
    with pytest.raises(TypeError, match="captions must be a list"):
        RandomFlip(captions="caption")
    with pytest.raises(TypeError, match="table must be a list"):
        SynonymReplacement({"circle": "disc"})
    with pytest.raises(TypeError, match=r"example\['caption'\] must be a string"):
        WordDropout()({"caption": ["a cat"]})
