"""The comparisons of contrastive pre-training, on made pairs: folds, pairing, and wrong pairs."""

from dataclasses import replace

import pytest
import torch

from mmtutor.data import Dataset
from mmtutor.recipes.learning import contrastive, contrastive_studies
from mmtutor.recipes.learning.contrastive_studies import Config, doubts, mismatched

HEADS = replace(Config.preset("noise"), dim=8, hidden=32, epochs=25, batch_size=32, dropout=0.0)


@pytest.fixture
def pairs(monkeypatch):
    """Concepts whose features say their word; each is drawn in four styles."""

    def drawings(split, config):
        numbers = torch.arange(*{"train": (0, 60), "test": (60, 80), "val": (80, 90)}[split])
        styles = (*config.styles, contrastive.UNSEEN)
        concept = numbers.repeat_interleave(len(styles))
        torch.manual_seed(0)
        words = ["dog", "house", "apple", "car", "tree", "hat", "moon", "fish"]
        features = torch.randn(8, 1280)[concept // 2 % 8] + 0.3 * torch.randn(len(concept), 1280)
        named = [words[number // 2 % 8] for number in concept.tolist()]
        return Dataset(
            {
                "image_features": features,
                "names": [{"en": word} for word in named],
                "keywords": [{"en": [word, "thing"]} for word in named],
                "style": list(styles) * len(numbers),
                "concept": concept,
                "group": concept,
            }
        )

    monkeypatch.setattr(contrastive, "drawings", drawings)


def test_a_share_of_the_pairs_gets_the_texts_of_others(pairs):
    data = contrastive.drawings("train", HEADS)
    spoilt, wrong = mismatched(data, 0.1, seed=0)
    assert wrong.sum() == 12
    for row in (~wrong).nonzero().flatten().tolist():
        assert spoilt.column("names")[row] == data.column("names")[row]
    for name in ("names", "keywords"):
        texts = [sorted(map(str, each.column(name))) for each in (data, spoilt)]
        assert texts[0] == texts[1], "no text is lost"
    assert torch.equal(spoilt.column("image_features"), data.column("image_features"))


def test_wrong_pairs_are_doubted_by_models_that_never_saw_them(pairs):
    learned = contrastive.drawings("train", HEADS)
    spoilt, wrong = mismatched(learned, 0.1, seed=0)
    told = [one["en"] != other["en"] for one, other in
            zip(spoilt.column("names"), learned.column("names"), strict=True)]  # fmt: skip
    doubt = doubts(spoilt, HEADS)
    told = torch.tensor(told)
    assert doubt[told].mean() > doubt[~told].mean() + 0.2
    assert wrong[told].all()


def test_noise_trains_in_each_way_for_each_seed(pairs):
    metrics = contrastive_studies.run(replace(HEADS, epochs=2, seeds=2), progress=False).metrics
    found = {way: one["found"] for way, one in metrics["seeds"].items()}
    assert found["as they are"] == [0, 0]
    assert found["without the wrong ones"] == [1, 1]
    assert min(found["filtered"]) >= 0
    assert 0 < max(found["as many, at random"]) < 0.5, "some, by chance"
    assert all(len(one["recall_at_10"]) == 2 for one in metrics["seeds"].values())
    assert metrics["candidates"] == [20]
    assert metrics["chance"]["recall_at_10"] == pytest.approx(0.5)


def test_each_loss_meets_each_batch_size_and_a_fixed_temperature_stays(pairs):
    config = replace(HEADS, study="losses", batch_sizes=(16, 64), epochs=2, seeds=1)
    seeds = contrastive_studies.run(config, progress=False).metrics["seeds"]
    assert len(seeds) == 6
    fixed = [seeds[f"InfoNCE, fixed, {size}"]["scale"] for size in (16, 64)]
    assert fixed == [pytest.approx([1 / 0.07])] * 2
    assert seeds["InfoNCE, 16"]["scale"] != pytest.approx([1 / 0.07], rel=1e-4)


def test_each_group_counts_once():
    rank = torch.tensor([1, 1, 1, 5])
    hits = contrastive_studies._hits(rank, torch.tensor([7, 7, 7, 3]))
    assert hits[1].tolist() == [0, 1]
    assert hits[10].tolist() == [1, 1]


def test_styles_take_equally_many_steps_and_the_same_folds():
    config = replace(Config.preset("tiny"), width=4, batch_size=1024)
    result = contrastive_studies.run(config, progress=False)
    assert list(result.metrics["recall"]) == list(contrastive_studies.STYLES)
    assert result.metrics["queries"]["unseen"] == sum(result.metrics["candidates"]) > 1_500
