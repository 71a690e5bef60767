"""Fine-tuning a tower on a few emoji, and AdaLoRA's budget against the paper's formula."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from mmtutor.encoders import EfficientNetLite0
from mmtutor.evaluation.efficiency import parameters
from mmtutor.recipes.learning import fine_tuning
from mmtutor.recipes.learning.fine_tuning import RATES, WAYS, Config
from mmtutor.recipes.learning.tuned_tower import Pointwise, Rehearsal, Upper, maps, said

TINY = Config.preset("tiny")


@pytest.fixture(scope="module")
def result():
    pytest.importorskip("peft")
    return fine_tuning.run(TINY, progress=False)


def test_a_run_tries_each_way_each_rank_and_each_number_of_labels(result):
    metrics = result.metrics
    assert metrics["ways"].keys() == set(WAYS)
    assert metrics["ranks"].keys() == set(TINY.ranks)
    for way in TINY.by_labels:
        assert metrics[f"{way} by labels"].keys() == set(TINY.budgets)
    for way, found in metrics["ways"].items():
        kinds = {"known", "new"} | ({"old"} if way != "scratch" else set())
        assert kinds == found.keys() - {"trained"}
        for kind in kinds:
            assert 0 <= found[kind]["low"] <= found[kind]["high"] <= 1
    assert metrics["ways"]["full"]["known"]["minus"].keys() == set(WAYS) - {"full"}


def test_a_tower_that_is_not_tuned_says_of_old_pictures_what_it_said(result):
    ways = result.metrics["ways"]
    assert ways["probe"]["old"]["estimate"] == 1
    assert ways["full with replay"]["trained"] == ways["full"]["trained"]
    assert ways["probe"]["trained"] == 1280 * 9 + 9


def test_what_is_trained_once_serves_every_part(monkeypatch):
    trained = []
    tuned = fine_tuning.tuned
    monkeypatch.setattr(fine_tuning, "tuned", lambda *job: trained.append(job[:2]) or tuned(*job))
    config = replace(TINY, ways=("probe",), by_labels=("probe",), ranks=(1,))
    fine_tuning.run(config, progress=False)
    assert len(trained) == len(set(trained)) == 1 + 1 + len(TINY.budgets) - 1


def test_each_way_changes_what_it_says_and_nothing_else():
    for way in ("probe", "full", "layer-wise", "LoRA"):
        model, _ = fine_tuning.tuned(TINY, way)
        before = fine_tuning.build(TINY, way).state_dict()
        after = model.state_dict()
        moved = {name for name in before if not torch.equal(before[name], after[name])}
        assert any(name.startswith("head.") for name in moved)
        assert not any("running" in name or "num_batches" in name for name in moved)
        own = {name for name in moved if name.startswith("encoder.")}
        if way == "probe":
            assert not own
        elif way == "LoRA":
            assert own
            assert all(name.endswith((".A", ".B")) for name in own)
        else:
            assert len(own) > 20


def test_rates_fall_from_the_top_to_the_bottom():
    model = fine_tuning.build(TINY, "layer-wise")
    groups = fine_tuning.optimizer(TINY, model, "layer-wise").param_groups
    *tower, head = [group["lr"] for group in groups]
    assert head == TINY.lr
    assert tower[0] == RATES["layer-wise"]
    assert tower[1:] == pytest.approx([TINY.decay * rate for rate in tower[:-1]])
    assert sum(p.numel() for g in groups for p in g["params"]) == parameters(model)
    flat = fine_tuning.optimizer(TINY, fine_tuning.build(TINY, "full"), "full").param_groups
    assert {group["lr"] for group in flat} == {TINY.lr, RATES["full"]}


def test_a_pointwise_layer_is_the_convolution():
    torch.manual_seed(0)
    convolution, x = nn.Conv2d(5, 7, 1, bias=False), torch.randn(2, 5, 3, 4)
    torch.testing.assert_close(Pointwise(convolution)(x), convolution(x))


def test_both_halves_are_the_tower():
    image = fine_tuning.data(TINY, "val").column("image")
    tower = EfficientNetLite0().eval()
    with torch.no_grad():
        whole = tower.classify(tower(image.float() / 255).pooled())
        upper = Upper(EfficientNetLite0().network)
        halves = said(upper, tower.network, maps(EfficientNetLite0().network, image))
    torch.testing.assert_close(halves, whole, rtol=1e-3, atol=1e-3)


def test_rehearsal_looks_at_old_pictures_in_training_only():
    model = fine_tuning.build(TINY, "full with replay")
    assert isinstance(model, Rehearsal)
    batch = {"map": torch.rand(2, 192, 2, 2), "old_map": torch.rand(3, 192, 2, 2)}
    assert model.train()(batch).old.shape == (3, 1000)
    assert not hasattr(model.eval()(batch), "old")
    assert not any(p.requires_grad for p in model.old_head.parameters())


def test_replay_asks_for_the_old_answers():
    rehearsed = fine_tuning._rehearsed(TINY)
    output = fine_tuning.Rehearsed(torch.zeros(4, 9), rehearsed["old_answer"][:4].log())
    batch = {"label": torch.zeros(4, dtype=torch.int64), "old_answer": rehearsed["old_answer"][:4]}
    loss = fine_tuning.objective(TINY, "full with replay")(output, batch)
    entropy = -torch.special.xlogy(batch["old_answer"], batch["old_answer"]).sum(1).mean()
    torch.testing.assert_close(loss, torch.tensor(9.0).log() + entropy)


def test_the_budget_of_adalora_follows_the_paper():
    """Zhang et al. (2023), section 3.3: first all ranks, then cubically fewer."""
    pytest.importorskip("peft")
    config = replace(TINY, labels=200, seen=2_000, rank=3)
    encoder = fine_tuning.adaptive(config, fine_tuning.build(config, "full").encoder)
    settings = encoder.peft_config["default"]
    layers = sum(isinstance(module, Pointwise) for module in encoder.modules())
    first, last = layers * settings.init_r, layers * settings.target_r
    start, end, total = settings.tinit, settings.tfinal, settings.total_step
    assert total == 10 * 20
    assert 0 < start < total - end < total
    for step in range(total):
        if step < start:
            due = first
        elif step < total - end:
            left = 1 - (step - start) / (total - end - start)
            due = last + (first - last) * left**3
        else:
            due = last
        given, _ = encoder.base_model.rankallocator.budget_schedule(step)
        assert given == pytest.approx(due, abs=1)


def test_adalora_ends_with_the_ranks_that_it_may_have():
    pytest.importorskip("peft")
    config = replace(TINY, labels=60, seen=1_200, rank=2)
    model, _ = fine_tuning.tuned(config, "AdaLoRA")
    kept = model.encoder.peft_config["default"].rank_pattern
    assert sum(map(sum, kept.values())) == 2 * len(kept)
    assert len({sum(each) for each in kept.values()}) > 1, "ranks moved to where they serve"
