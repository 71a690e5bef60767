"""The VQA recipe: the gate that a model looks, its parts, its controls and its remedies."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from mmtutor.data import Dataset
from mmtutor.data.tokenizer import WordTokenizer
from mmtutor.encoders import SmallCNN
from mmtutor.evaluation import must_look
from mmtutor.evaluation.modality_use import DoesNotLookError
from mmtutor.fusion import FUSIONS
from mmtutor.models import Classifier, ClassifierOutput, FusionClassifier
from mmtutor.recipes.vqa import classic as vqa
from mmtutor.recipes.vqa.parts import (
    ByPicture,
    Once,
    by_picture,
    mirrored,
    product_of_experts,
    reweighted,
)

MARGIN = 0.05  # what permuting a modality must cost, at the lower end of its interval
SMALLEST = replace(vqa.SHAPES, train=64, test=32, max_objects=3, dim=16, width=4, epochs=1)


@pytest.fixture(scope="module")
def tiny() -> vqa.Trained:
    torch.set_num_threads(1)
    return vqa.train(vqa.Config.preset("tiny"))


def test_the_model_looks_at_both_modalities(tiny):
    must_look(tiny.model, tiny.prepared, vqa.BOTH, margin=MARGIN)


def test_the_gate_stops_a_model_that_cannot_see(tiny):
    blind = vqa.train(replace(tiny.config, modalities=("tokens",), train=2_000, epochs=1))
    with pytest.raises(DoesNotLookError, match="image"):
        must_look(blind.model, blind.prepared, vqa.BOTH, margin=MARGIN)


def test_metrics_name_every_type_and_both_modalities(tiny):
    metrics = vqa.measured(tiny)
    assert set(metrics["by_type"]) == set(tiny.data.column("type"))
    assert set(metrics["permuted"]) == set(vqa.BOTH)
    assert metrics["accuracy"]["low"] > 0.5


def test_any_question_can_be_asked(tiny):
    image = tiny.data.column("image")[0]
    answers = vqa.ask(tiny, image, "is there a red circle?", k=4)
    assert len(answers) == 4
    assert answers == sorted(answers, key=lambda pair: -pair[1])
    assert vqa.ask(tiny, image / 255, "is there a red circle?", k=4) == answers
    with pytest.raises(ValueError, match="no word"):
        vqa.ask(tiny, image, "?")


@pytest.mark.parametrize("fusion", sorted(FUSIONS))
def test_every_fusion_can_be_chosen(fusion):
    model = vqa.build(replace(SMALLEST, fusion=fusion), WordTokenizer(["red"]))
    assert isinstance(model, FusionClassifier)
    batch = {"image": torch.rand(2, 3, 48, 48), "tokens": torch.ones(2, 4).long()}
    assert model(batch).logits.shape == (2, len(vqa.ANSWERS["shapes-questions"]))


def test_one_modality_makes_a_control():
    tokenizer = WordTokenizer(["red"])
    for name in vqa.BOTH:
        model = vqa.build(replace(SMALLEST, modalities=(name,)), tokenizer)
        assert isinstance(model, Classifier)
        assert model.encoder.modality == name


@pytest.mark.parametrize("remedy", ["product of experts", "reweight"])
def test_remedies_run_on_biased_questions(remedy):
    config = replace(SMALLEST, prior="biased", split="adversarial", remedy=remedy)
    assert all(loss > 0 for loss in vqa.train(config).history.loss)


def test_one_seed_gives_one_model():
    one, two = (vqa.train(SMALLEST) for _ in range(2))
    assert one.history.loss == two.history.loss


def test_test_questions_are_drawn_from_seeds_that_nothing_was_chosen_on():
    test, val = (vqa.questions(SMALLEST, split) for split in ("test", "val"))
    assert test.column("question") != val.column("question")
    with pytest.raises(ValueError, match="unknown preset"):
        vqa.Config.preset("huge")


class Counting(SmallCNN):
    seen = 0

    def forward(self, x, mask=None):
        self.seen += len(x)
        return super().forward(x, mask)


def test_a_picture_is_encoded_once_where_it_stands_several_times():
    torch.manual_seed(0)
    encoder = Counting(8, 4).eval()
    pictures = torch.rand(3, 3, 32, 32)[[0, 0, 1, 1, 1, 2, 0]]
    with torch.no_grad():
        expected = encoder(pictures)
        encoder.seen = 0
        found = Once(encoder).eval()(pictures)
    assert encoder.seen == 4
    torch.testing.assert_close(found.tokens, expected.tokens, rtol=0, atol=1e-6)
    assert found.mask.equal(expected.mask)


def test_gradients_of_equal_pictures_are_not_thrown_together():
    encoder = Once(SmallCNN(8, 4)).eval()
    pictures = torch.rand(1, 3, 32, 32).repeat(2, 1, 1, 1).requires_grad_()
    encoder(pictures).tokens.square().sum().backward()
    torch.testing.assert_close(pictures.grad[0], pictures.grad[1])
    assert pictures.grad.abs().sum() > 0


def rows() -> Dataset:
    picture = torch.rand(2, 3, 4, 4).unbind()
    columns = {"image": [picture[0], picture[0], picture[1]], "image_id": torch.tensor([4, 4, 7])}
    return Dataset({**columns, "label": torch.arange(3)})


def test_batches_keep_a_picture_together_and_change_with_every_epoch():
    sampler = ByPicture(torch.arange(50).repeat_interleave(3))
    first, second = list(sampler), list(sampler)
    assert sorted(first) == list(range(150))
    assert first != second
    assert all(first[i] // 3 == first[i - i % 3] // 3 for i in range(150))
    assert sum(len(batch["label"]) for batch in by_picture(rows(), 2)) == 3


def test_mirrored_pictures_have_numbers_of_their_own():
    data, both = rows(), mirrored(rows())
    assert both.column("image_id").tolist() == [4, 4, 7, 12, 12, 15]
    assert both.column("label").tolist() == [0, 1, 2, 0, 1, 2]
    assert both.column("image")[3] is both.column("image")[4]
    assert len(data) == 3


def test_an_expert_that_knows_leaves_nothing_to_learn():
    label, logits = torch.tensor([1, 0]), torch.zeros(2, 3, requires_grad=True)
    sure = torch.full((2, 3), -30.0)
    sure[0, 1] = 0.0  # the first answer is given away, the second is as good as excluded
    sure[1, 1] = 0.0
    batch = {"label": label, "bias": sure.log_softmax(1)}
    product_of_experts(ClassifierOutput(logits), batch).backward()
    assert logits.grad[0].abs().max() < 1e-6 < 0.4 < logits.grad[1].abs().max()


def test_reweighting_forgets_what_is_given_away():
    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    bias = torch.tensor([[1.0, 0.0], [0.5, 0.5]]).clamp(min=1e-9).log()
    batch = {"label": torch.tensor([0, 0]), "bias": bias}
    expected = nn.functional.cross_entropy(logits[1:], torch.tensor([0]))
    torch.testing.assert_close(reweighted(ClassifierOutput(logits), batch), expected)
