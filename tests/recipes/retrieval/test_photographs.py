"""The photograph recipe, on a few real photographs."""

from dataclasses import replace

import pytest
import torch

from mmtutor.data import Dataset
from mmtutor.data.splits import normalised
from mmtutor.recipes.retrieval import photographs as retrieval
from mmtutor.recipes.retrieval.photographs import Config
from mmtutor.recipes.retrieval.scoring import _Scores, summary

TINY = Config.preset("tiny")
pytestmark = pytest.mark.usefixtures("stamps_cache")


def test_the_tiny_preset_runs_and_reports_both_directions():
    result = retrieval.run(TINY, progress=False)
    report = result.metrics
    for direction in ("image_to_text", "text_to_image", "mean"):
        recall = report[direction]["recall_at_10"]
        assert 0 <= recall["low"] <= recall["estimate"] <= recall["high"] <= 1
    pairs, test = (retrieval.prepared(part, TINY) for part in retrieval.split(TINY, 0))
    assert report["gallery_sizes"] == [len(test)]
    assert len(result.history.epochs) == TINY.epochs
    assert result.config == TINY
    untrained = summary([retrieval.score(retrieval.build(TINY, pairs), test)])
    trained = summary([retrieval.score(result.model, test)])
    assert report["before_training"] == untrained
    assert {key: report[key] for key in trained} == trained != untrained
    random = retrieval.build(replace(TINY, start="random"), pairs)
    guesses = [
        summary([retrieval.score(model, test)])["mean"]["recall_at_1"]["low"]
        for model in (result.model, retrieval.build(TINY, pairs), random)
    ]
    chance = report["chance"]["recall_at_1"]
    assert [low > chance for low in guesses] == [True, True, False]  # random heads only guess


def test_training_changes_the_heads_and_nothing_else():
    train, _ = (retrieval.prepared(part, TINY) for part in retrieval.split(TINY, 0))
    model = retrieval.build(TINY, train)
    before = {name: p.detach().clone() for name, p in model.state_dict().items()}
    retrieval.train_model(model, train, TINY, progress=False)
    changed = {name for name, p in model.state_dict().items() if not torch.equal(p, before[name])}
    assert changed
    assert all(".correction." in name for name in changed)


@pytest.mark.parametrize("loss", ["info_nce", "sigmoid"])
def test_in_chunks_the_heads_learn_the_same(loss):
    config = replace(TINY, loss=loss, dropout=0.0)
    pairs, _ = (retrieval.prepared(part, config) for part in retrieval.split(config, 0))
    plain, chunked = retrieval.build(config, pairs), retrieval.build(config, pairs)
    expected = retrieval.train_model(plain, pairs, config, progress=False)
    found = retrieval.train_model(chunked, pairs, replace(config, chunk=5), progress=False)
    assert found.loss == pytest.approx(expected.loss, rel=1e-4)
    torch.testing.assert_close(chunked.state_dict(), plain.state_dict(), rtol=1e-3, atol=1e-4)


def test_fine_tuning_trains_the_image_tower_at_its_own_rate():
    config = replace(TINY, finetune=True, limit=20, epochs=1, batch_size=8)
    train, test = (retrieval.prepared(part, config) for part in retrieval.split(config, 0))
    model = retrieval.build(config, train)
    rates = {
        g["lr"] for g in retrieval.optimizer(model, torch.nn.Linear(1, 1), config).param_groups
    }
    assert rates == {config.lr, config.tower_lr}
    before = model.image_encoder.network.stem.conv.weight.detach().clone()
    retrieval.train_model(model, train, config, progress=False)
    assert not torch.equal(before, model.image_encoder.network.stem.conv.weight)
    assert len(retrieval.score(model, test).group) == len(test)


def test_no_caption_is_on_both_sides_of_any_fold():
    for fold in range(5):
        train, test = retrieval.split(TINY, fold)
        assert set(map(normalised, train.column("caption"))).isdisjoint(
            map(normalised, test.column("caption"))
        )
        assert set(train.column("group").tolist()).isdisjoint(test.column("group").tolist())


def test_the_folds_cover_every_photograph_once():
    names = [name for fold in range(5) for name in retrieval.split(TINY, fold)[1].column("name")]
    assert sorted(names) == sorted(retrieval.photographs(TINY.limit).column("name"))


def test_photographs_without_a_chinese_caption_are_left_out_in_chinese():
    train, test = retrieval.split(replace(TINY, caption="caption_zh"), 0)
    assert all(train.column("caption_zh"))
    assert all(test.column("caption_zh"))


def test_shuffling_moves_captions_and_their_numbers_together():
    groups = torch.arange(20)
    data = Dataset({"caption": [str(i) for i in range(20)], "group": groups, "x": groups})
    control = retrieval._shuffled(data, seed=0)
    assert [int(text) for text in control.column("caption")] == control.column("group").tolist()
    assert torch.equal(control.column("x"), groups)
    assert not torch.equal(control.column("group"), groups)


def test_the_temperature_is_the_best_of_those_tried():
    pairs = retrieval.prepared(retrieval.split(TINY, 0)[0], TINY)
    model = retrieval.build(TINY, pairs)
    chosen, qualities = model.image_head.start.temperature, {}
    for temperature in retrieval.TEMPERATURES:  # through the whole model, as it is before training
        model.image_head.start.temperature = temperature
        rank = torch.stack(list(retrieval.score(model, pairs).ranks().values()))
        qualities[temperature] = (1 / rank.double()).mean().item()
    assert qualities[chosen] == pytest.approx(max(qualities.values()))
    assert max(qualities.values()) > min(qualities.values())


def test_search_finds_the_nearest_and_an_empty_query_is_refused():
    _, test = retrieval.split(TINY, 0)
    model = retrieval.build(TINY, retrieval.prepared(test, TINY))
    scores = retrieval.score(model, retrieval.prepared(test, TINY))
    query = test.column("caption")[0]
    assert (
        retrieval.search(model, TINY, query, test, k=3)
        == scores.similarity[:, 0].topk(3)[1].tolist()
    )
    with pytest.raises(ValueError, match="no token to encode"):
        retrieval.search(model, TINY, "", test)


def test_failures_are_sorted_by_rank_and_name_the_caption_that_won():
    _, test = retrieval.split(TINY, 0)
    model = retrieval.build(TINY, retrieval.prepared(test, TINY))
    ranks = [rank for _, rank, _ in retrieval.failures(model, TINY, test, count=5)]
    assert ranks == sorted(ranks, reverse=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"start": "nothing"}, "start is 'nothing': expected 'conse' or 'random'"),
        ({"loss": "mse"}, "loss is 'mse': expected 'info_nce' or 'sigmoid'"),
    ],
)
def test_unknown_options_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        retrieval.run(replace(TINY, **change), progress=False)


def test_an_unknown_preset_is_answered_with_those_there_are():
    with pytest.raises(ValueError, match="unknown preset 'huge': expected one of tiny, cpu"):
        Config.preset("huge")


def test_a_summary_of_two_folds_by_hand():
    """Fold one: both right. Fold two: two pictures share a caption, and a third is confused."""
    perfect = _Scores(torch.eye(2), torch.tensor([0, 1]))
    similarity = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.5, 0.5, 0.1]])
    shared = _Scores(similarity, torch.tensor([2, 2, 3]))
    report = summary([perfect, shared])
    assert report["image_to_text"]["recall_at_1"]["estimate"] == pytest.approx(4 / 5)
    assert report["text_to_image"]["recall_at_1"]["estimate"] == pytest.approx(1.0)
    assert report["mean"]["recall_at_1"]["estimate"] == pytest.approx(9 / 10)
    expected = (2 * 1 / 2 + 3 * (2 * 2 / 3 + 1 / 3) / 3) / 5
    assert report["chance"]["recall_at_1"] == pytest.approx(expected)


def test_augmentation_changes_the_picture_and_the_words_that_are_read():
    train, _ = retrieval.split(TINY, 0)
    config = replace(TINY, finetune=True)
    plain = retrieval.prepared(train, config)
    changed = Dataset(plain.columns, retrieval._augmentation(seed=0), plain.name)
    pairs = [(plain[i], changed[i]) for i in range(len(plain))]
    assert not any(torch.equal(a["image"], b["image"]) for a, b in pairs)
    assert all(a["image"].shape == b["image"].shape for a, b in pairs)
    assert any(len(b["tokens"]) < len(a["tokens"]) for a, b in pairs)
