"""The recipe of CLIP on emoji, and its parts, on few or made pictures."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from mmtutor.data import Dataset
from mmtutor.encoders import FeatureEncoder
from mmtutor.models import DualEncoder, ProjectionHead
from mmtutor.recipes.learning import contrastive, towers
from mmtutor.recipes.learning.contrastive import TRAINED, UNSEEN, Config
from mmtutor.recipes.learning.towers import (
    Described,
    NGrams,
    ResidualCNN,
    adapted,
    redrawn,
    restyled,
    standardised_head,
)

TINY = Config.preset("tiny")


@pytest.fixture
def few(monkeypatch):
    """Concepts that are a colour and nothing else, as two styles draw it."""

    def load(name, split="train", style=TRAINED, **_):
        del name
        numbers = range(*{"train": (0, 6), "val": (6, 9), "test": (9, 12), "all": (0, 12)}[split])
        rows = [(number, each) for number in numbers for each in style]
        image = torch.full((len(rows), 3, 64, 64), 255, dtype=torch.uint8)
        for row, (number, _) in enumerate(rows):
            image[row, number % 3, 16:48, 16:48] = 0
        words = [["cyan", "magenta", "yellow"][number % 3] for number, _ in rows]
        columns = {
            "image": image,
            "names": [{"en": f"{word} no {n}"} for word, (n, _) in zip(words, rows, strict=True)],
            "keywords": [{"en": [word, "square"]} for word in words],
            "style": [style for _, style in rows],
            "concept": torch.tensor([number for number, _ in rows]),
            "group": torch.tensor([number for number, _ in rows]),
        }
        return Dataset(columns)

    monkeypatch.setattr(contrastive, "load", load)


def test_a_run_names_concepts_that_it_never_saw(few):
    config = replace(TINY, epochs=30, batch_size=6, lr=1e-2)
    result = contrastive.run(config, progress=False)
    assert result.metrics["candidates"] == [3]
    assert result.metrics["known"]["queries"] == 3
    for name in ("known", "unseen", "name", "adapted"):
        assert result.metrics[name]["recall_at_1"]["estimate"] == 1, name
    shuffled = contrastive.run(replace(config, shuffle_pairs=True), progress=False)
    assert shuffled.metrics["known"]["recall_at_1"]["estimate"] < 1


def test_with_folds_every_concept_is_asked_once_and_no_group_is_on_both_sides(few):
    parts = list(contrastive.held_out(replace(TINY, folds=3)))
    asked = torch.cat([test.column("concept").unique() for _, test in parts])
    assert asked.sort().values.tolist() == [*range(6), *range(9, 12)], "none that settings saw"
    for learned, test in parts:
        assert not set(learned.column("group").tolist()) & set(test.column("group").tolist())


def test_only_trained_styles_are_learned_from(few, monkeypatch):
    seen = []
    monkeypatch.setattr(contrastive, "train", lambda c, m, o, data, *_: seen.append(data))
    learned, _ = next(contrastive.held_out(TINY))
    assert UNSEEN in learned.column("style")
    contrastive.train_model(contrastive.build(TINY), learned, TINY)
    assert len(seen[0]) == 6


def test_the_tiny_preset_runs_on_real_emoji():
    result = contrastive.run(TINY, progress=False)
    assert result.metrics["candidates"] == [233]
    history = result.history.epochs
    assert history[-1]["loss"] < history[0]["loss"]
    known = result.metrics["known"]["recall_at_10"]
    assert known["low"] <= known["estimate"] <= known["high"]


def test_of_pretrained_towers_only_the_corrections_learn():
    model = contrastive.build(Config.preset("pretrained"))
    batch = {
        "image_features": torch.rand(3, 1280),
        "tokens": torch.tensor([[5, 6], [7, 8], [9, 9]]),
    }
    image, text = model(batch)
    assert image.shape == text.shape == (3, 256)
    learning = {name for name, p in model.named_parameters() if p.requires_grad}
    assert {name.split(".")[0] for name in learning} == {"image_head", "text_head"}


def test_n_grams_are_shared_by_words_that_share_runs():
    ids = NGrams().encode("Sun")
    assert ids == [towers._runs("sun")[i] for i in range(5)]
    assert len(set(NGrams().encode("sunflower")) & set(ids)) == 3, "<su, sun, <sun"
    assert NGrams().encode("!?") == [0]
    assert max(NGrams().encode("猫 кошка قطة")) < NGrams.size
    with pytest.raises(TypeError, match="text"):
        NGrams().encode(3)


def test_texts_drop_keywords_but_never_the_name():
    example = {"names": {"en": "cat"}, "keywords": {"en": ["pet", "tail"]}}
    read = {drop: Described(NGrams(), drop=drop)(example)["tokens"].tolist() for drop in (0, 1)}
    assert read[1] == NGrams().encode("cat")
    assert read[0] == NGrams().encode("cat pet tail")
    bare = Described(NGrams(), keywords=False)(example)["tokens"].tolist()
    assert bare == read[1]


@pytest.mark.parametrize("augment", ["place", "colour", "style"])
def test_redrawn_pictures_stay_pictures_on_white(augment):
    torch.manual_seed(0)
    white = torch.ones(64, 3, 32, 32)
    torch.testing.assert_close(restyled(white, augment), white)
    pictures = white.clone()
    pictures[:, :, 8:24, 8:24] = torch.rand(64, 3, 1, 1)
    changed = restyled(pictures, augment)
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert (changed - pictures).abs().amax((1, 2, 3)).min() > 0
    assert torch.equal(restyled(pictures, "none"), pictures)
    greys = (changed - changed.mean(1, keepdim=True)).abs().amax((1, 2, 3)) < 1e-3
    assert (greys.sum() > 5) == (augment == "style")


def test_the_tower_changes_pictures_in_training_only():
    torch.manual_seed(0)
    tower, x = ResidualCNN(4, "place"), torch.rand(4, 3, 32, 32)
    assert tower(x).tokens.shape == (4, 4, 32)
    assert not torch.equal(tower(x).tokens, tower(x).tokens)
    tower.eval()
    assert torch.equal(tower(x).tokens, tower(x).tokens)


def test_adapting_makes_the_statistics_those_of_the_pictures_and_touches_no_weight():
    model = DualEncoder(ResidualCNN(4), nn.Identity(), ProjectionHead(32, 8), nn.Identity())
    images = torch.randint(0, 90, (40, 3, 32, 32), dtype=torch.uint8)
    moved = adapted(model, Dataset({"image": images}))
    first = moved.image_encoder.stem
    out = first[0](2 * (images / 255) - 1)
    torch.testing.assert_close(first[1].running_mean, out.mean((0, 2, 3)), atol=1e-4, rtol=1e-3)
    for (name, one), other in zip(model.named_parameters(), moved.parameters(), strict=True):
        assert torch.equal(one, other), name
    assert model.image_encoder.stem[1].running_mean.abs().max() == 0


def test_settings_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="folds is 1"):
        replace(TINY, folds=1)
    with pytest.raises(ValueError, match="multiple of 16"):
        replace(TINY, size=24)
    with pytest.raises(ValueError, match="divisor of 64"):
        replace(TINY, size=48)


def test_a_head_adapts_to_features_of_another_style():
    torch.manual_seed(0)
    heads = standardised_head(4, 2, 8, 0.0), nn.Identity()
    model = DualEncoder(FeatureEncoder(4, "image_features"), nn.Identity(), *heads)
    other = 5 + 3 * torch.randn(512, 4)
    statistics = adapted(model, Dataset({"image_features": other})).image_head[0]
    torch.testing.assert_close(statistics.running_mean, other.mean(0), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(statistics.running_var, other.var(0), atol=1e-1, rtol=1e-2)
    assert model.image_head[0].running_mean.abs().max() == 0


def test_restyled_features_are_further_rows_of_the_same_pairs():
    data = Dataset(
        {
            "image_features": torch.zeros(2, 3),
            "restyled_features": torch.ones(2, 3),
            "names": ["cat", "sun"],
        }
    )
    twice = redrawn(data)
    assert twice.column("names") == ["cat", "sun"] * 2
    assert twice.column("image_features").mean(1).tolist() == [0, 0, 1, 1]
    plain = Dataset({"names": ["cat"]})
    assert redrawn(plain) is plain
