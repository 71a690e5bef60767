"""The VQA recipe: the gate that a model looks, its parts, its controls and its remedies."""

from dataclasses import replace

import pytest
import torch

from mmtutor.data.tokenizer import WordTokenizer
from mmtutor.evaluation import must_look
from mmtutor.evaluation.modality_use import DoesNotLookError
from mmtutor.fusion import FUSIONS
from mmtutor.models import Classifier, FusionClassifier
from mmtutor.recipes.vqa import classic as vqa
from mmtutor.recipes.vqa.questions import BOTH, Trained, prepared, question_prior

MARGIN = 0.05  # what permuting a modality must cost, at the lower end of its interval
TINY = vqa.Config.preset("tiny")
SMALLEST = replace(vqa.SHAPES, train=64, test=32, dim=16, width=4, epochs=1)


@pytest.fixture(scope="module")
def tiny() -> Trained:
    torch.set_num_threads(1)
    return vqa.train(TINY)


def test_the_model_looks_at_both_modalities(tiny):
    must_look(tiny.model, tiny.prepared, BOTH, margin=MARGIN)


def test_the_gate_stops_a_model_that_cannot_see(tiny):
    blind = vqa.train(replace(TINY, modalities=("tokens",), train=2_000, epochs=1))
    with pytest.raises(DoesNotLookError, match="image"):
        must_look(blind.model, blind.prepared, BOTH, margin=MARGIN)


def test_metrics_name_every_type_and_both_modalities(tiny):
    metrics = tiny.metrics()
    assert set(metrics["by_type"]) == set(tiny.data.column("type"))
    assert set(metrics["permuted"]) == set(BOTH)
    assert metrics["accuracy"]["low"] > 0.5


def test_any_question_can_be_asked(tiny):
    image = tiny.data.column("image")[0]
    answers = tiny.ask(image, "is there a red circle?", k=4)
    assert len(answers) == 4
    assert answers == sorted(answers, key=lambda pair: -pair[1])
    assert tiny.ask(image / 255, "is there a red circle?", k=4) == answers
    with pytest.raises(ValueError, match="no word"):
        tiny.ask(image, "?")


@pytest.mark.parametrize("fusion", sorted(FUSIONS))
def test_every_fusion_can_be_chosen(fusion):
    torch.manual_seed(0)
    model = vqa.build(replace(SMALLEST, fusion=fusion), WordTokenizer(["red"]))
    assert isinstance(model, FusionClassifier)
    assert isinstance(model.fusion, FUSIONS[fusion])
    batch = {"image": torch.rand(2, 3, 48, 48), "tokens": torch.ones(2, 4).long()}
    logits = model(batch).logits
    assert logits.shape == (2, len(vqa.ANSWERS["shapes-questions"]))
    logits.square().sum().backward()
    reached = {n for n, p in model.encoders.named_parameters() if p.grad.abs().sum() > 0}
    assert {name.split(".")[0] for name in reached} == set(BOTH)
    model.eval()
    plain = model(batch).logits
    for name, other in {"image": 1 - batch["image"], "tokens": 1 + batch["tokens"]}.items():
        assert (model({**batch, name: other}).logits - plain).abs().amax(dim=1).min() > 1e-5, name


def test_one_modality_makes_a_control():
    tokenizer = WordTokenizer(["red"])
    for name in BOTH:
        model = vqa.build(replace(SMALLEST, modalities=(name,)), tokenizer)
        assert isinstance(model, Classifier)
        assert model.encoder.modality == name


def test_remedies_run_on_biased_questions():
    """What the prior knows, product of experts need not learn, and reweighting does not."""
    config = replace(SMALLEST, prior="biased", split="adversarial", types=("query",), train=2_000)
    loss = {}
    for remedy in ("none", "product of experts", "reweight"):
        trained = vqa.train(replace(config, remedy=remedy))
        assert trained.data.name == "shapes-questions/adversarial"
        loss[remedy] = torch.tensor(trained.history.loss)
    assert loss["product of experts"][0] < loss["none"][0] - 0.5
    late = slice(-20, None)
    assert loss["reweight"][late].mean() > loss["none"][late].mean() + 0.1


def test_the_question_prior_knows_the_bias_and_nothing_else():
    config = replace(SMALLEST, prior="biased", train=2_000, types=("query",))
    data = vqa.questions(config, "train")
    tokenizer = WordTokenizer.fit(data.column("question"))
    ready = prepared(data, tokenizer)
    prior = question_prior(ready, tokenizer, config, len(vqa.ANSWERS["shapes-questions"]))
    assert not prior.requires_grad
    torch.testing.assert_close(prior.exp().sum(dim=1), torch.ones(len(data)))
    right = prior.argmax(dim=1) == data.column("label")
    assert 0.3 < right.float().mean() < 0.95
    same = data.column("question").index(data.column("question")[0], 1)
    torch.testing.assert_close(prior[same], prior[0])


def test_one_seed_gives_one_model():
    one, two = (vqa.train(SMALLEST) for _ in range(2))
    assert one.history.loss == two.history.loss


def test_test_questions_are_drawn_from_seeds_that_nothing_was_chosen_on():
    test, val = (vqa.questions(SMALLEST, split) for split in ("test", "val"))
    assert test.column("question") != val.column("question")
    with pytest.raises(ValueError, match="unknown preset"):
        vqa.Config.preset("huge")
