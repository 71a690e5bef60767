"""Repainting: what is changed, what must follow, and the effects of models that are known."""

import pytest
import torch
from torch import nn

from mmtutor.data.shapes.questions.dataset import ANSWERS
from mmtutor.data.tokenizer import WordTokenizer
from mmtutor.models import ClassifierOutput
from mmtutor.recipes.scorecard.causes import effect, repainted


@pytest.fixture(scope="module")
def pictures():
    return repainted(400, size=36)


def test_the_answer_follows_the_object_asked_about_and_no_other(pictures):
    assert len(pictures.new) > 90
    before, asked, bystander = (data.column("label") for data in pictures[:3])
    assert torch.equal(asked, pictures.new)
    assert torch.equal(bystander, before)
    assert (pictures.new != before).all()
    assert len({*pictures.new.tolist()}) == 8


def test_every_intervention_changes_the_picture(pictures):
    images = [data.column("image").int() for data in pictures[:3]]
    for changed in images[1:]:
        share = (changed != images[0]).any(dim=1).double().flatten(1).mean(dim=1)
        assert (share > 0).all()
        assert (share < 0.2).all()


class Oracle(nn.Module):
    def __init__(self, look):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(50.0))
        self.look = look

    def forward(self, batch):
        said = batch["label"] * self.look + 2 * (1 - self.look)
        return ClassifierOutput(self.scale * nn.functional.one_hot(said, len(ANSWERS)))


def test_effects_of_the_all_knowing_and_of_the_blind(pictures):
    encode = WordTokenizer.fit(pictures.before.column("question")).encode
    knowing, blind = effect(Oracle(1), encode, pictures), effect(Oracle(0), encode, pictures)
    assert tuple(knowing.asked) == pytest.approx((1, 1, 1))
    assert tuple(knowing.bystander) == pytest.approx((0, 0, 0))
    assert tuple(knowing.difference) == pytest.approx((1, 1, 1))
    assert tuple(blind.asked) == tuple(blind.bystander) == pytest.approx((0, 0, 0))
