"""Groups hold what must not be parted; folds hold whole groups."""

from collections import Counter

import numpy as np
import pytest
import torch

from mmtutor.data.splits import fold_of, group_of, near_duplicate_pairs, normalised


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("A red apple.", "red  Apple"),
        ("The elf's hat!", "an elf’s hat"),
        ("A cherry-tree", "Cherry tree…"),
        ("“Arrow”.", "arrow"),
        ("ＡＢＣ", "abc"),
    ],
)
def test_equal_captions(one, other):
    assert normalised(one) == normalised(other) != ""


def test_captions_that_differ():
    assert normalised("A red apple.") != normalised("A green apple.")
    assert normalised("The A.") == "the a"  # an article alone is all there is
    assert normalised("红苹果。") == "红苹果"


def blocks(seed: int) -> np.ndarray:
    """A random picture, uint8 [3, 32, 32], of 4x4 blocks."""
    small = np.random.default_rng(seed).integers(0, 255, (3, 4, 4), np.uint8)
    return small.repeat(8, axis=1).repeat(8, axis=2)


def test_near_duplicates_are_found():
    first, second = blocks(1), blocks(2)
    noise = np.random.default_rng(3).integers(-9, 9, first.shape)
    noisy = (first + noise).clip(0, 255).astype(np.uint8)
    darker = first // 2 + 20
    images = np.stack([first, second, noisy, first[:, :, ::-1], darker, blocks(4)])
    pairs = near_duplicate_pairs(images)
    assert pairs.tolist() == [[0, 2], [0, 3], [0, 4], [2, 3], [2, 4], [3, 4]]


def test_how_alike_is_near():
    first, second = (blocks(seed).astype(float) for seed in (1, 2))
    mixed = [first, 0.9 * first + 0.1 * second, 0.7 * first + 0.3 * second]
    assert near_duplicate_pairs(np.stack(mixed).astype(np.uint8)).tolist() == [[0, 1]]


def test_pictures_of_one_colour_are_no_duplicates():
    assert len(near_duplicate_pairs(np.full((3, 3, 32, 32), 255, np.uint8))) == 0


def test_groups_are_chained_through_captions_and_pictures():
    captions = ["A cat.", "Dog", "the cat", "A cow", "A bird"]
    images = np.stack([blocks(seed) for seed in (1, 2, 3, 3, 5)])
    assert group_of(captions, images) == [0, 1, 0, 0, 2]


def sizes_of_folds(groups: list[int], folds: int) -> list[int]:
    names = [f"n{index:03}" for index in range(len(groups))]
    return sorted(Counter(fold_of(groups, names, folds).tolist()).values())


def test_folds_are_balanced_and_keep_groups_whole():
    rng = np.random.default_rng(0)
    groups = np.sort(rng.integers(0, 300, 700)).tolist()
    names = [f"n{index:03}" for index in range(700)]
    folds = fold_of(groups, names)
    assert folds.dtype == np.int64
    assert len(set(zip(groups, folds.tolist(), strict=True))) == len(set(groups))
    assert sizes_of_folds(groups, 5) == [140] * 5
    assert sizes_of_folds([0] * 10 + list(range(1, 11)), 2) == [10, 10]


def test_folds_depend_on_the_seed_and_not_on_the_order():
    groups = [index // 2 for index in range(200)]
    names = [f"n{index:03}" for index in range(200)]
    folds = fold_of(groups, names)
    assert (fold_of(groups[::-1], names[::-1])[::-1] == folds).all()
    assert (fold_of(groups, names, seed=1) != folds).any()
    assert folds[:12:2].tolist() == [1, 0, 1, 4, 3, 4]  # on every machine, in every version


@pytest.mark.parametrize("folds", [0, 1, 4])
def test_a_number_of_folds_that_cannot_be(folds):
    with pytest.raises(ValueError, match=f"folds must be .* (least 2|most 3).*, got {folds}"):
        fold_of([0, 1, 2, 2], ["a", "b", "c", "d"], folds)


def test_groups_of_a_tensor_are_numbers():
    names = ["a", "b", "c", "d"]
    expected = fold_of([0, 1, 2, 2], names, 2).tolist()
    assert fold_of(torch.tensor([0, 1, 2, 2]), names, 2).tolist() == expected
    assert fold_of(np.array([0, 1, 2, 2]), names, 2).tolist() == expected
