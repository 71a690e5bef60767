"""The VQA recipe: the gate that a model looks, its parts, its controls and its remedies."""

from dataclasses import replace

import pytest
import torch

from mmtutor.data import loader
from mmtutor.data.tokenizer import WordTokenizer
from mmtutor.evaluation import require_modality_use
from mmtutor.evaluation.modality_use import ModalityUnusedError
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
    require_modality_use(tiny.model, tiny.prepared, BOTH, margin=MARGIN)


def test_the_gate_stops_a_model_that_cannot_see(tiny):
    blind = vqa.train(replace(TINY, modalities=("tokens",), train=2_000, epochs=1))
    with pytest.raises(ModalityUnusedError, match="image"):
        require_modality_use(blind.model, blind.prepared, BOTH, margin=MARGIN)


def test_metrics_name_every_type_and_both_modalities(tiny):
    metrics = tiny.metrics()
    assert set(metrics["by_type"]) == set(tiny.data.column("type"))
    assert set(metrics["permuted"]) == set(BOTH)
    assert metrics["accuracy"]["low"] > 0.5


def test_a_run_reports_on_what_the_model_was_given():
    result = vqa.run(replace(SMALLEST, modalities=("tokens",)), progress=False)
    assert set(result.metrics["permuted"]) == {"tokens"}
    assert result.config.modalities == ("tokens",)
    assert result.history.loss


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


@pytest.mark.parametrize("remedy", ["product of experts", "reweight"])
def test_remedies_train_by_what_the_question_prior_says(remedy):
    config = replace(SMALLEST, prior="biased", split="adversarial", remedy=remedy)
    trained = vqa.train(config)
    assert trained.data.name == "shapes-questions/adversarial"
    assert all(loss > 0 for loss in trained.history.loss)
    assert trained.history.loss != vqa.train(replace(config, remedy="none")).history.loss
    data = prepared(vqa.questions(config, "train"), trained.tokenizer)
    prior = question_prior(data, trained.tokenizer, config, len(trained.answers))
    data = data.with_column("bias", prior)
    first = next(iter(loader(data, config.batch_size, seed=config.seed, group_by="image_id")))
    torch.manual_seed(config.seed)
    model = vqa.build(config, trained.tokenizer)
    expected = vqa.REMEDIES[remedy](model(first), first).item()
    assert trained.history.loss[0] == pytest.approx(expected, rel=1e-5)


def test_the_question_prior_knows_the_bias_and_nothing_else():
    config = replace(SMALLEST, prior="biased", train=2_000, types=("query",), dim=32, lr=3e-3)
    data = vqa.questions(config, "train")
    tokenizer = WordTokenizer.fit(data.column("question"))
    ready = prepared(data, tokenizer)
    prior = question_prior(ready, tokenizer, config, len(vqa.ANSWERS["shapes-questions"]))
    assert not prior.requires_grad
    torch.testing.assert_close(prior.exp().sum(dim=1), torch.ones(len(data)))
    right = prior.argmax(dim=1) == data.column("label")
    assert 0.6 < right.float().mean() < 0.95
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
