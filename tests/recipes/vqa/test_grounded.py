"""Questions about `shapes` in two steps: what is learned from, what is told, and what is tested."""

from dataclasses import replace
from math import isfinite

import pytest
import torch
import torch.nn.functional as F

from mmtutor.data import load, loader
from mmtutor.data.shapes.questions.dataset import ANSWERS
from mmtutor.data.shapes.scene import HELD_OUT_SHAPE
from mmtutor.data.tokenizer import WordTokenizer
from mmtutor.evaluation.predict import predict
from mmtutor.fusion import FUSIONS
from mmtutor.losses import cross_entropy
from mmtutor.models import ClassifierOutput, FusionClassifier
from mmtutor.models.grounded_classifier import GroundedClassifier, GroundedOutput
from mmtutor.recipes.common.presets import UNTOUCHED
from mmtutor.recipes.vqa import grounded as vqa_shapes
from mmtutor.recipes.vqa.classic import BOTH, prepared
from mmtutor.recipes.vqa.detector import Sight
from mmtutor.recipes.vqa.parts import product_of_experts, reweighted

SMALLEST = vqa_shapes.Config(
    pictures=64, sight_epochs=1, train=64, test=32, dim=8, width=4, epochs=1
)


@pytest.fixture(scope="module")
def sight() -> Sight:
    """Eyes that have hardly learned; most tests only need some."""
    torch.set_num_threads(1)
    return vqa_shapes.see(SMALLEST)


def numbers(metrics: object) -> list[float]:
    if isinstance(metrics, dict):
        return [number for value in metrics.values() for number in numbers(value)]
    return [metrics]


def test_the_tiny_preset_runs():
    torch.set_num_threads(1)
    config = vqa_shapes.Config.preset("tiny")
    result = vqa_shapes.run(config, progress=False)
    assert all(isfinite(number) for number in numbers(result.metrics))
    assert set(result.metrics["permuted"]) == set(BOTH)
    assert set(result.metrics["by_type"]) == set(config.types)
    assert result.history.loss[-1] < result.history.loss[0]
    assert result.config == config
    assert isinstance(result.model, GroundedClassifier)


def outputs() -> tuple[GroundedOutput, dict[str, torch.Tensor]]:
    torch.manual_seed(0)
    output = GroundedOutput(torch.randn(4, 5), torch.randn(4, 3, 9))
    batch = {"label": torch.tensor([0, 3, 1, 4]), "bias": torch.randn(4, 5).log_softmax(1)}
    return output, {**batch, "told": (torch.rand(4, 2, 9) > 0.7).float()}


def test_grounding_counts_every_told_head_and_cell():
    output, batch = outputs()
    gates, told = output.gates.sigmoid().double(), batch["told"].double()
    missed = sum(
        -torch.log(gates[b, h, n] if told[b, h, n] else 1 - gates[b, h, n])
        for b in range(4)
        for h in range(2)
        for n in range(9)
    )
    expected = cross_entropy(output, batch) + 0.5 * missed / (4 * 2 * 9)
    torch.testing.assert_close(
        vqa_shapes.objective(output, batch, ground=0.5).double(), expected.double()
    )


def test_who_is_not_told_is_not_judged_by_it():
    output, batch = outputs()
    plain = cross_entropy(output, batch)
    assert vqa_shapes.objective(output, batch).equal(plain)
    assert vqa_shapes.objective(ClassifierOutput(output.logits), batch, ground=3.0).equal(plain)
    del batch["told"]
    assert vqa_shapes.objective(output, batch, ground=3.0).equal(plain)


def test_remedies_are_those_of_the_other_recipe_and_grounding_adds_to_them():
    output, batch = outputs()
    told = F.binary_cross_entropy_with_logits(output.gates[:, :2], batch["told"])
    for remedy, loss in {"product of experts": product_of_experts, "reweight": reweighted}.items():
        found = vqa_shapes.objective(output, batch, remedy, ground=2.0)
        torch.testing.assert_close(found, loss(output, batch) + 2 * told)


@pytest.mark.parametrize("name", ["grounded", *sorted(FUSIONS)])
def test_every_model_learns_from_the_same_tokens(name, sight):
    config = replace(SMALLEST, model=name)
    trained = vqa_shapes.train(config, sight)
    assert isinstance(trained.model, GroundedClassifier if name == "grounded" else FusionClassifier)
    assert all(isfinite(loss) for loss in trained.history.loss)
    tokenizer = trained.tokenizer
    torch.manual_seed(config.seed)
    start = dict(vqa_shapes.build(config, sight, tokenizer).named_parameters())
    learned = {n for n, p in trained.model.named_parameters() if not p.equal(start[n])}
    eyes = {n for n, p in start.items() if not p.requires_grad}
    assert eyes
    assert not learned & eyes
    assert len(learned) > (len(start) - len(eyes)) / 2
    assert trained.predictions().logits.shape == (config.test, len(ANSWERS))


def test_a_model_answers_the_same_from_pictures_as_from_tokens_made_before(sight):
    trained = vqa_shapes.train(SMALLEST, sight)
    ready = trained.prepared
    tokens = ready.with_column("image", sight.tokens(ready.column("image")))
    expected = predict(trained.model, loader(tokens, 16)).logits
    torch.testing.assert_close(trained.predictions().logits, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("remedy", ["product of experts", "reweight"])
def test_remedies_run_on_biased_questions(remedy, sight):
    config = replace(SMALLEST, prior="biased", split="adversarial", remedy=remedy)
    trained = vqa_shapes.train(config, sight)
    assert all(isfinite(loss) and loss > 0 for loss in trained.history.loss)
    assert trained.data.name == "shapes-questions/adversarial"


def test_the_question_prior_gives_log_probabilities(sight):
    data = vqa_shapes.questions(replace(SMALLEST, prior="biased"), "train")
    tokenizer = WordTokenizer.fit(data.column("question"))
    ready = prepared(data, tokenizer).with_column("image", sight.tokens(data.column("image")))
    prior = vqa_shapes.question_prior(ready, tokenizer, SMALLEST)
    assert prior.shape == (SMALLEST.train, len(ANSWERS))
    assert (prior <= 0).all()
    torch.testing.assert_close(prior.exp().sum(dim=1), torch.ones(SMALLEST.train))
    assert not prior.requires_grad


def test_unknown_names_are_refused(sight):
    with pytest.raises(ValueError, match="unknown preset"):
        vqa_shapes.Config.preset("huge")
    with pytest.raises(KeyError, match="telepathy"):
        vqa_shapes.build(replace(SMALLEST, model="telepathy"), sight, WordTokenizer(["red"]))
    with pytest.raises(KeyError, match="prayer"):
        vqa_shapes.objective(*outputs(), remedy="prayer")
    with pytest.raises(ValueError, match="needs prior='biased'"):
        vqa_shapes.questions(SMALLEST, "adversarial")


def test_the_seed_decides_everything():
    one, two, other = (vqa_shapes.train(replace(SMALLEST, seed=seed)) for seed in (0, 0, 1))
    assert one.history.loss == two.history.loss
    for name, value in one.model.state_dict().items():
        assert value.equal(two.model.state_dict()[name])
    assert one.history.loss != other.history.loss
    assert one.data.column("question") != other.data.column("question")


@pytest.mark.parametrize("split", ["test", "val", "unseen", "train"])
def test_tests_are_drawn_from_seeds_that_nothing_was_chosen_on(split):
    n = SMALLEST.train if split == "train" else SMALLEST.test
    seed = SMALLEST.seed + (UNTOUCHED if split in ("test", "unseen") else 0)
    expected = load("shapes-questions", split, n=n, size=vqa_shapes.SIDE, seed=seed)
    found = vqa_shapes.questions(SMALLEST, split)
    assert found.column("question") == expected.column("question")
    assert found.column("image").equal(expected.column("image"))


def test_unseen_questions_are_about_pairs_that_are_never_trained_on():
    held_out = torch.from_numpy(HELD_OUT_SHAPE)
    for split, expected in (("train", False), ("unseen", True)):
        data = vqa_shapes.questions(SMALLEST, split)
        shape, colour = data.column("shape"), data.column("colour")
        novel = (held_out[colour] == shape) & (shape >= 0)  # [N, K]
        assert novel.any(dim=1).equal(torch.full((len(data),), expected))


def test_masks_come_with_test_questions_alone_and_only_where_wanted():
    config = replace(SMALLEST, with_masks=True)
    side = vqa_shapes.SIDE
    assert vqa_shapes.questions(config, "test").column("target").shape == (32, side, side)
    assert "target" not in vqa_shapes.questions(config, "train").columns
    assert "target" not in vqa_shapes.questions(SMALLEST, "test").columns
