"""The text recipe at a size of seconds."""

from dataclasses import replace

import pytest
import torch

from mmtutor.recipes.encoders import text as text_classification
from mmtutor.recipes.encoders.text import Config

TINY = Config.preset("tiny")


def accuracy(**changes):
    config = replace(TINY, train=2000, epochs=1, batch_size=16, lr=1e-2, dim=32)
    config = replace(config, **changes)
    return text_classification.run(config, progress=False).metrics["accuracy"]["estimate"]


def test_a_reader_of_order_passes_the_bags_ceiling_and_a_bag_does_not():
    assert accuracy(encoder="gru") > 0.7
    assert accuracy(encoder="bag") <= 0.5
    assert accuracy(encoder="transformer", positions="none") <= 0.51


@pytest.mark.parametrize("encoder", text_classification.ENCODERS)
@pytest.mark.parametrize("tokens", text_classification.TOKENS)
def test_every_encoder_reads_every_kind_of_token(encoder, tokens):
    config = replace(TINY, train=20, test=10, epochs=1, encoder=encoder, tokens=tokens)
    config = replace(config, language="zh")
    trained = text_classification.train(config)
    assert trained.test.logits.shape == (20, 8)
    assert torch.isfinite(trained.test.logits).all()


def test_the_same_seed_gives_the_same_weights():
    one, two = (text_classification.run(TINY, progress=False).model for _ in "ab")
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(a, b)


def test_languages_are_told_apart_and_shuffled_labels_are_not(stamps_cache):
    config = replace(TINY, task="language", encoder="bag", tokens="bpe", epochs=2, lr=3e-2)
    config = replace(config, vocabulary=600)
    told = text_classification.train(config)
    assert told.test.correct.double().mean() > 0.5
    control = text_classification.train(replace(config, shuffle_labels=True))
    assert control.test.correct.double().mean() < 0.12


@pytest.mark.parametrize("field", ["task", "encoder", "tokens"])
def test_an_unknown_choice_is_answered_with_those_there_are(field):
    with pytest.raises(ValueError, match=f"{field} is 'other': expected '"):
        text_classification.run(replace(TINY, **{field: "other"}), progress=False)
