from dataclasses import replace
from typing import get_args

import pytest
import torch

from mmtutor.data import loader
from mmtutor.evaluation.predict import predict
from mmtutor.recipes.robustness import defences, group_bias
from mmtutor.recipes.robustness import product_titles as shop
from mmtutor.recipes.robustness.defences import Config, Defence, Objective

TINY = replace(Config.preset("tiny"), task="shop", epochs=1)


@pytest.mark.parametrize("defence", get_args(Defence))
def test_every_defence_trains_and_is_gone_afterwards(defence):
    config = replace(TINY, defence=defence, steps=1)
    model, history = defences.train(config)
    assert len(history.loss) == 4
    assert not model.training
    batch = next(iter(loader(defences.held_out(config), 8)))
    assert torch.equal(model(batch).logits, model(batch).logits)
    assert not isinstance(model, defences.Perturbed)


@pytest.mark.parametrize("objective", get_args(Objective))
def test_every_objective_trains(objective):
    config = replace(TINY, objective=objective, wrong=0.3)
    data = defences.training_set(config)
    if objective == "weighted":
        data = data.with_column("weight", torch.ones(len(data)))
    model, history = defences.train(config, data)
    assert torch.tensor(history.loss).isfinite().all()
    assert len(predict(model, defences.held_out(config)).correct) == config.test


def test_a_run_reports_falling_accuracy():
    result = defences.run(replace(TINY, epochs=8), progress=False)
    by_radius = list(result.metrics["by_radius"].values())
    assert by_radius == sorted(by_radius, reverse=True)
    assert list(result.metrics["by_severity"]) == [0, 1, 2, 3, 4, 5]
    assert result.metrics["accuracy"]["estimate"] == by_radius[0]


def test_what_the_defences_do_to_a_batch():
    model = defences.build(TINY)
    batch = next(iter(loader(defences.training_set(TINY), 64)))
    assert defences.perturbation(TINY) is None
    for defence in ("noise", "adversarial"):
        changed = defences.perturbation(replace(TINY, defence=defence))(model, batch)
        moved = (changed["image"] - batch["image"]).abs().flatten(1).amax(dim=1)
        assert moved.max() > 0.01
        assert (moved.max() <= TINY.radius + 1e-6) == (defence == "adversarial")
        assert changed["tokens"] is batch["tokens"]
    present = defences.perturbation(replace(TINY, defence="modality dropout"))(model, batch)
    share = present["present"].float().mean(dim=0)
    assert present["present"].any(dim=1).all()
    assert ((share > 0.4) & (share < 0.9)).all()


def test_wrong_labels_are_as_many_as_asked_and_really_wrong():
    label = torch.arange(1000) % 10
    wrong = defences._mislabelled(label, 0.4, 10)
    assert (wrong != label).sum() == 400
    assert wrong.unique().tolist() == list(range(10))
    assert torch.equal(defences._mislabelled(label, 0.0, 10), label)
    data = defences.training_set(replace(TINY, wrong=0.25))
    assert (data.column("label") != data.column("clean")).sum() == 32


def test_test_pictures_are_not_training_pictures():
    train = defences.training_set(replace(TINY, train=2_000))
    for split in ("validation", "test"):
        held = defences.held_out(replace(TINY, split=split)).column("image")
        same = (train.column("image")[:, None, 0] == held[None, :20, 0]).flatten(2).all(dim=2)
        assert not same.any()


def test_titles_mostly_tell_the_class_and_new_words_are_new():
    data = defences.held_out(replace(TINY, test=400))
    pairs = list(zip(data.column("title"), data.column("label").tolist(), strict=True))
    right = [shop.NAMES[label] in title.split() for title, label in pairs]
    assert 0.8 < sum(right) / len(right) < 0.9
    words = {word for title, _ in pairs for word in title.split()}
    new = {word for others in shop.SYNONYMS.values() for word in others}
    assert not words & new
    changed = shop.with_titles(data, 0, new_words=True)
    seen = [changed[i]["tokens"].tolist() for i in range(100)]
    known = shop.tokenizer()
    ids = {known.encode(word)[0] for word in new}
    share = sum(bool(ids & set(row)) for row in seen) / 100
    assert 0.3 < share < 0.7


def test_what_does_not_exist_is_refused():
    for change, message in (
        ({"defence": "prayer"}, "defence is 'prayer'"),
        ({"objective": "hope"}, "objective is 'hope'"),
        ({"task": "chess"}, "task is 'chess'"),
        ({"task": "clothes", "defence": "synonyms"}, "for the task 'shop'"),
    ):
        with pytest.raises(ValueError, match=message):
            defences.train(replace(TINY, **change), defences.training_set(TINY))
    with pytest.raises(ValueError, match="unknown preset"):
        Config.preset("huge")


def test_a_jumper_is_what_the_seller_calls_so():
    config = replace(group_bias.Config.preset("tiny"), train=1000, share=0.2)
    data = group_bias.titles("train", config)
    group, label = data.column("group"), data.column("label")
    assert 0.15 < group.double().mean() < 0.25
    jumper = torch.tensor(["jumper" in title for title in data.column("title")])
    pullover, dress = group_bias.JUMPER["British"], group_bias.JUMPER["American"]
    assert torch.equal(jumper, torch.where(group == 0, label == pullover, label == dress))
    others = [title for title, own in zip(data.column("title"), jumper, strict=True) if not own]
    assert {name for title in others for name in shop.NAMES if name in title.split()} == set(
        shop.NAMES
    )
    test = group_bias.titles("test", config)
    assert 0.3 < test.column("group").double().mean() < 0.7


@pytest.mark.parametrize("remedy", get_args(group_bias.Remedy))
def test_every_remedy_runs(remedy):
    config = replace(group_bias.Config.preset("tiny"), remedy=remedy)
    result = group_bias.run(config, progress=False)
    assert set(result.metrics["by_group"]) == set(group_bias.GROUPS)
    with pytest.raises(ValueError, match="remedy is 'hope'"):
        group_bias.run(replace(config, remedy="hope"))
