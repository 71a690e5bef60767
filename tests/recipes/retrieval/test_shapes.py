"""The from-scratch recipe, at a size of seconds."""

from dataclasses import replace

import pytest
import torch

from mmtutor.data.tokenizer import WordTokenizer
from mmtutor.models import DualEncoder
from mmtutor.recipes.retrieval import shapes as retrieval_shapes
from mmtutor.recipes.retrieval.shapes import Config

TINY = Config.preset("tiny")


def test_the_tiny_preset_runs_and_beats_chance():
    result = retrieval_shapes.run(TINY, progress=False)
    report = result.metrics["test"]
    assert report["gallery_sizes"] == [TINY.test]
    assert report["mean"]["recall_at_10"]["estimate"] > 1.5 * report["chance"]["recall_at_10"]
    assert result.history.loss[-1] < result.history.loss[0]
    foils = retrieval_shapes.foil_accuracy(result.model, TINY)
    assert result.metrics["foil_accuracy"] == foils._asdict()


def test_the_same_seed_gives_the_same_weights():
    one, two = (retrieval_shapes.run(replace(TINY, epochs=1), progress=False).model for _ in "ab")
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(a, b)


def test_chinese_captions_are_read_character_by_character():
    tokenizer = retrieval_shapes.tokenizer_of(replace(TINY, caption="caption_zh"))
    assert isinstance(tokenizer, WordTokenizer)
    assert len(tokenizer.encode("红色的圆")) == 4


def test_a_model_that_ignores_the_caption_does_not_beat_its_foil():
    class Blind(DualEncoder):
        def __init__(self):
            torch.nn.Module.__init__(self)
            self.weight = torch.nn.Parameter(torch.ones(1))

        def encode_image(self, batch):
            return torch.ones(len(batch["image"]), 2) / 2**0.5

        def encode_text(self, batch):
            return torch.ones(len(batch["tokens"]), 2) / 2**0.5

    assert retrieval_shapes.foil_accuracy(Blind(), TINY).estimate == 0.0


def test_an_unknown_preset_is_answered_with_those_there_are():
    with pytest.raises(ValueError, match="unknown preset 'huge': expected one of tiny, cpu"):
        Config.preset("huge")
