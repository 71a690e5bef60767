"""The image recipe, at a size of seconds."""

from dataclasses import replace

import pytest
import torch

from mmtutor.data import load
from mmtutor.recipes.encoders import images as image_classification
from mmtutor.recipes.encoders.images import POOL, PRESETS, Config, _build

TINY = Config.preset("tiny")
pytestmark = pytest.mark.usefixtures("fashion_mnist_cache")


@pytest.mark.parametrize("encoder", ["cnn", "vit"])
def test_the_tiny_preset_runs_and_beats_chance(encoder):
    result = image_classification.run(replace(TINY, encoder=encoder), progress=False)
    assert result.metrics["accuracy"]["low"] > 0.2
    assert result.history.loss[-1] < result.history.loss[0]
    assert result.config.encoder == encoder


def test_the_same_seed_gives_the_same_weights():
    small = replace(TINY, train=64, epochs=1, augment=True)
    one, two = (image_classification.run(small, progress=False).model for _ in "ab")
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(a, b)


def test_training_validation_and_test_pictures_are_disjoint():
    whole = load("fashion-mnist", "train")
    everything = Config(train=POOL)
    train = image_classification._training_set(everything).column("label")
    assert train.sort().values.equal(whole.column("label")[:POOL].sort().values)
    held = image_classification.test_set(replace(TINY, split="validation"))
    assert torch.equal(held.column("image"), whole.column("image")[POOL : POOL + TINY.test])
    test = image_classification.test_set(TINY)
    assert torch.equal(
        test.column("image"), load("fashion-mnist", "test", n=TINY.test).column("image")
    )


def test_the_seed_draws_the_training_pictures():
    one, other = (
        image_classification._training_set(replace(TINY, seed=seed)).column("image")
        for seed in (0, 1)
    )
    assert not torch.equal(one, other)


@pytest.mark.parametrize("side", [1, 7])
def test_rearranging_is_the_same_for_every_picture_of_both_splits(side):
    moved = replace(TINY, rearrange=side)
    for make in (image_classification._training_set, image_classification.test_set):
        before, after = make(TINY).column("image"), make(moved).column("image")
        assert not torch.equal(before, after)
        assert torch.equal(before.flatten(1).sort().values, after.flatten(1).sort().values)
    image = torch.arange(28 * 28).view(1, 1, 28, 28)
    data = image_classification.test_set(TINY).with_column("image", image.expand(100, 3, -1, -1))
    places = image_classification._rearranged(data, side).column("image")
    assert (places == places[:1, :1]).all()


def test_shuffled_labels_are_the_same_labels_in_another_order():
    plain = image_classification._training_set(TINY).column("label")
    mixed = image_classification._training_set(replace(TINY, shuffle_labels=True)).column("label")
    assert not torch.equal(plain, mixed)
    assert torch.equal(plain.sort().values, mixed.sort().values)


def test_augmentation_changes_what_is_learned():
    small = replace(TINY, train=64, epochs=1)
    plain, augmented = (
        image_classification.run(replace(small, augment=augment), progress=False)
        for augment in (False, True)
    )
    assert plain.history.loss != augmented.history.loss


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_builds_and_stays_within_the_data(preset):
    config = Config.preset(preset)
    with torch.device("meta"):
        assert _build(config).dim == config.dim
    assert config.train <= POOL


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"encoder": "rnn"}, "encoder is 'rnn': expected 'cnn' or 'vit'"),
        ({"split": "dev"}, "split is 'dev': expected 'test' or 'validation'"),
        ({"train": POOL + 1}, "train is 50001: expected at most 50000"),
    ],
)
def test_what_is_wrong_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        image_classification.run(replace(TINY, **change), progress=False)
    with pytest.raises(ValueError, match="unknown preset 'huge': expected one of tiny, cpu"):
        Config.preset("huge")


def test_a_shifted_picture_is_the_old_one_moved_by_at_most_the_reach():
    image = torch.zeros(50, 3, 28, 28, dtype=torch.uint8)
    image[:, :, 10, 20] = 9  # one bright pixel
    data = image_classification.test_set(replace(TINY, test=50)).with_column("image", image)
    moved = image_classification._shifted(data, 3).column("image")
    assert (moved.sum(dim=(1, 2, 3)) == 27).all()
    places = moved[:, 0].nonzero()[:, 1:] - torch.tensor([10, 20])
    assert places.abs().max() == 3
    assert len(places.unique(dim=0)) > 20
    assert image_classification._shifted(data, 0) is data
