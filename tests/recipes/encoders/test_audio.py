"""The audio recipe, at a size of seconds."""

from collections import Counter
from dataclasses import replace

import pytest
import torch

from mmtutor.recipes.encoders import audio as recipe
from mmtutor.recipes.encoders.audio import ARTICLES, LANGUAGES, Config

TINY = Config.preset("tiny")


@pytest.mark.parametrize("encoder", ["cnn", "transformer"])
def test_the_tiny_preset_runs_and_beats_the_majority(encoder):
    result = recipe.run(replace(TINY, encoder=encoder, epochs=6), progress=False)
    assert result.metrics["accuracy"]["low"] > result.metrics["majority"]
    assert result.metrics["examples"] == {"train": 256, "test": 64}
    assert result.history.loss[-1] < result.history.loss[0]


def test_the_same_seed_gives_the_same_weights():
    one, two = (recipe.run(replace(TINY, epochs=1), progress=False).model for _ in "ab")
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(a, b)


def test_shuffled_labels_are_the_same_labels_in_another_order(monkeypatch):
    seen = {}
    monkeypatch.setattr(recipe, "train_classifier", lambda _, e, train, *__: seen.update(t=train))
    train, test = recipe.split(TINY)
    recipe.train(replace(TINY, shuffle_labels=True), train, test)
    label, shuffled = train.column("label"), seen["t"].column("label")
    assert Counter(label.tolist()) == Counter(shuffled.tolist())
    assert (label == shuffled).double().mean() < 0.5


def test_what_is_unknown_is_answered_with_what_is_known():
    with pytest.raises(ValueError, match="task is 'genre': expected 'article', 'language'"):
        recipe.run(replace(TINY, task="genre"))
    with pytest.raises(ValueError, match="encoder is 'lstm': expected 'cnn' or 'transformer'"):
        recipe._build(replace(TINY, encoder="lstm"))
    with pytest.raises(ValueError, match="unknown preset 'huge'"):
        Config.preset("huge")


def test_articles_are_split_by_caption_group(stamps_cache):
    data = recipe.articles("es")
    words = [caption.lower().strip("¡ ") for caption in data.column("caption")]
    for word, label in zip(words, data.column("label").tolist(), strict=True):
        assert word.startswith(f"{ARTICLES[label]} ")
    train, test = recipe.split(replace(TINY, task="article", seconds=0.05, fold=2))
    groups = [set(part.column("group").tolist()) for part in (train, test)]
    assert not groups[0] & groups[1]
    assert len(train) + len(test) == len(data)
    assert max(len(x) for x in train.column("audio")) == 800


def test_every_language_reads_the_same_captions(stamps_cache):
    data = recipe._languages(replace(TINY, examples=5))
    assert Counter(data.column("language")) == dict.fromkeys(LANGUAGES, 5)
    assert set(Counter(data.column("name")).values()) == {len(LANGUAGES)}


def test_the_second_catalan_voice_is_not_in_the_first(stamps_cache):
    second = recipe.second_catalan_voice()
    assert set(second.column("label").tolist()) == {LANGUAGES.index("ca")}
    both = recipe._first_catalan_voice(recipe.spoken(["ca"]))
    assert not set(second.column("path")) & set(both.column("path"))
    assert len(second) > 50
