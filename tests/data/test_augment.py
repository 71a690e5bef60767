"""Augmentation of whole batches: each change alone against a plain loop, and draws of its own."""

import pytest
import torch

from mmtutor.data.augment import AugmentPictures

OFF = {"shift": 0, "flip": 0.0, "brightness": 0.0, "contrast": 0.0}


@pytest.fixture
def image():
    return torch.rand(64, 3, 5, 7, generator=torch.Generator().manual_seed(0))


def same(one, other):
    return torch.allclose(one, other, atol=1e-6)


def changed(image, **options):
    torch.manual_seed(1)
    return AugmentPictures(**OFF | options)(image)


def test_nothing_wanted_changes_nothing(image):
    torch.testing.assert_close(changed(image), image)


def test_some_are_mirrored_and_some_are_not(image):
    mirrored = [same(x, y) for x, y in zip(changed(image, flip=0.5), image, strict=True)]
    assert 16 < sum(mirrored) < 48
    assert same(changed(image, flip=1.0), image.flip(-1))


def test_each_moves_by_its_own_pixels_and_the_edge_is_repeated(image):
    moves = set()
    for new, old in zip(changed(image, shift=2), image, strict=True):
        (move,) = [
            (down, right)
            for down in range(-2, 3)
            for right in range(-2, 3)
            if same(new, moved(old, down, right))
        ]
        moves.add(move)
    assert len(moves) > 15


def moved(image, down, right):
    rows = (torch.arange(5) + down).clamp(0, 4)
    columns = (torch.arange(7) + right).clamp(0, 6)
    return image[:, rows][:, :, columns]


def test_light_and_contrast_are_factors_of_each_picture(image):
    dark = image / 4 + 0.3  # nothing is cut off
    factor = changed(dark, brightness=0.2) / dark
    spread = factor.amax((1, 2, 3)) - factor.amin((1, 2, 3))
    assert spread.max() < 1e-5
    assert factor.amin() < 0.9 < 1.1 < factor.amax()
    sharper = changed(dark, contrast=0.2)
    torch.testing.assert_close(sharper.mean((1, 2, 3)), dark.mean((1, 2, 3)))
    factor = sharper.flatten(1).std(1) / dark.flatten(1).std(1)
    assert factor.amin() < 0.9 < 1.1 < factor.amax()
    assert changed(image, brightness=1.0).amax() == 1


def test_bad_settings_are_named():
    with pytest.raises(ValueError, match="flip must be in"):
        AugmentPictures(flip=1.5)
    with pytest.raises(ValueError, match=r"shift must be .* at least 0"):
        AugmentPictures(shift=-1)
