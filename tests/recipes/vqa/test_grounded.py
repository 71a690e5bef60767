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
from mmtutor.encoders import FrozenEncoder
from mmtutor.evaluation.predict import predict
from mmtutor.fusion import FUSIONS
from mmtutor.losses import cross_entropy
from mmtutor.losses.answering import product_of_experts, reweighted
from mmtutor.models import ClassifierOutput, FusionClassifier
from mmtutor.models.grid_detector import ATTRIBUTES, GridDetector
from mmtutor.models.grounded_classifier import GroundedClassifier, _GroundedOutput
from mmtutor.recipes.common import TEST_SEED_OFFSET
from mmtutor.recipes.vqa import grounded as vqa_shapes
from mmtutor.recipes.vqa.cells import cells
from mmtutor.recipes.vqa.questions import BOTH, SIDE, prepared, question_prior, shapes_questions

MOST = {"shape": 0.5, "colour": 0.9, "size": 0.9}  # of what is there is named rightly
SMALLEST = vqa_shapes.Config(
    pictures=64, detector_epochs=1, train=64, test=32, dim=8, width=4, epochs=1
)


@pytest.fixture(scope="module")
def detector() -> GridDetector:
    """Eyes that have hardly learned; most tests only need some."""
    torch.set_num_threads(1)
    return vqa_shapes.pretrain_detector(SMALLEST)


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


def test_it_learns_to_name_what_it_sees():
    config = replace(SMALLEST, pictures=1_500, detector_epochs=4, dim=32, width=16, seed=2)
    detector = vqa_shapes.pretrain_detector(config)
    data = load("shapes-questions", "val", n=300, size=SIDE, seed=3)
    truth = cells(data)
    with torch.no_grad():
        named = detector.eval()({"image": data.column("image").float() / 255})
    there = truth[..., 0] > 0
    for kind, least in MOST.items():
        right = getattr(named, kind).argmax(dim=-1) == truth[..., list(ATTRIBUTES).index(kind)]
        assert right[there].float().mean() > least
        assert right[~there].float().mean() > 0.95


def test_the_objective_is_that_of_the_settings():
    torch.manual_seed(0)
    output = _GroundedOutput(torch.randn(4, 5), torch.randn(4, 3, 9))
    batch = {"label": torch.tensor([0, 3, 1, 4]), "bias": torch.randn(4, 5).log_softmax(1)}
    batch["attention_target"] = (torch.rand(4, 2, 9) > 0.7).float()
    told = F.binary_cross_entropy_with_logits(output.gates[:, :2], batch["attention_target"])
    losses = {"none": cross_entropy, "product of experts": product_of_experts}
    for remedy, loss in {**losses, "reweight": reweighted}.items():
        config = replace(SMALLEST, remedy=remedy, ground=2.0)
        plain = loss(output, batch)
        found = vqa_shapes._objective(config)(output, batch)
        torch.testing.assert_close(found, plain + 2 * told)
        assert vqa_shapes._objective(replace(config, ground=0.0))(output, batch).equal(plain)
        only_answers = vqa_shapes._objective(replace(config, model="film"))
        assert only_answers(ClassifierOutput(output.logits), batch).equal(plain)


@pytest.mark.parametrize("name", ["grounded", *sorted(FUSIONS)])
def test_every_model_learns_from_the_same_tokens(name, detector):
    config = replace(SMALLEST, model=name)
    trained = vqa_shapes.train(config, detector)
    assert isinstance(trained.model, GroundedClassifier if name == "grounded" else FusionClassifier)
    assert all(isfinite(loss) for loss in trained.history.loss)
    tokenizer = trained.tokenizer
    torch.manual_seed(config.seed)
    start = dict(vqa_shapes._build(config, detector, tokenizer).named_parameters())
    learned = {n for n, p in trained.model.named_parameters() if not p.equal(start[n])}
    frozen = {n for n, p in start.items() if not p.requires_grad}
    assert frozen
    assert not learned & frozen
    assert len(learned) > (len(start) - len(frozen)) / 2
    assert trained.predictions().logits.shape == (config.test, len(ANSWERS))


def test_tokens_of_pictures_are_what_the_frozen_encoder_sees(detector):
    images = torch.randint(256, (5, 3, SIDE, SIDE), dtype=torch.uint8)
    tokens = detector.tokens(images)
    frozen = FrozenEncoder(detector.encoder)
    seen = frozen(images.float() / 255)
    assert not tokens.requires_grad
    assert tokens.shape == (5, 9, frozen.dim)
    torch.testing.assert_close(tokens, seen.tokens, rtol=0, atol=1e-5)


def test_a_model_answers_the_same_from_pictures_as_from_tokens_made_before(detector):
    trained = vqa_shapes.train(SMALLEST, detector)
    ready = trained.prepared
    tokens = ready.with_column("image", detector.tokens(ready.column("image")))
    expected = predict(trained.model, loader(tokens, 16)).logits
    torch.testing.assert_close(trained.predictions().logits, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("remedy", ["product of experts", "reweight"])
def test_remedies_run_on_biased_questions(remedy, detector):
    config = replace(SMALLEST, prior="biased", split="adversarial", remedy=remedy)
    trained = vqa_shapes.train(config, detector)
    assert all(isfinite(loss) and loss > 0 for loss in trained.history.loss)
    assert trained.data.name == "shapes-questions/adversarial"


def test_the_question_prior_gives_log_probabilities():
    data = shapes_questions(replace(SMALLEST, prior="biased"), "train")
    tokenizer = WordTokenizer.fit(data.column("question"))
    prior = question_prior(prepared(data, tokenizer), tokenizer, SMALLEST, len(ANSWERS))
    assert prior.shape == (SMALLEST.train, len(ANSWERS))
    assert (prior <= 0).all()
    torch.testing.assert_close(prior.exp().sum(dim=1), torch.ones(SMALLEST.train))
    assert not prior.requires_grad


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="unknown preset"):
        vqa_shapes.Config.preset("huge")
    with pytest.raises(ValueError, match="model is 'telepathy': expected 'grounded', "):
        replace(SMALLEST, model="telepathy")
    with pytest.raises(ValueError, match="remedy is 'prayer': expected 'none', "):
        replace(SMALLEST, remedy="prayer")
    with pytest.raises(ValueError, match="needs prior='biased'"):
        shapes_questions(SMALLEST, "adversarial")


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
    seed = SMALLEST.seed + (TEST_SEED_OFFSET if split in ("test", "unseen") else 0)
    expected = load("shapes-questions", split, n=n, size=SIDE, seed=seed)
    found = shapes_questions(SMALLEST, split)
    assert found.column("question") == expected.column("question")
    assert found.column("image").equal(expected.column("image"))


def test_unseen_questions_are_about_pairs_that_are_never_trained_on():
    held_out = torch.from_numpy(HELD_OUT_SHAPE)
    for split, expected in (("train", False), ("unseen", True)):
        data = shapes_questions(SMALLEST, split)
        shape, colour = data.column("shape"), data.column("colour")
        novel = (held_out[colour] == shape) & (shape >= 0)  # [N, K]
        assert novel.any(dim=1).equal(torch.full((len(data),), expected))


def test_masks_come_with_test_questions_alone_and_only_where_wanted():
    config = replace(SMALLEST, with_masks=True)
    side = SIDE
    assert shapes_questions(config, "test").column("target").shape == (32, side, side)
    assert "target" not in shapes_questions(config, "train").columns
    assert "target" not in shapes_questions(SMALLEST, "test").columns
