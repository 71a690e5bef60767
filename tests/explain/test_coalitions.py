"""What is taken away, and that the rest stays."""

import pytest
import torch
from torch import nn

from mmtutor.explain import coalitions
from mmtutor.explain.targets import Probability
from mmtutor.models.classifier import ClassifierOutput


class Echo(nn.Module):
    """Keeps the batch it is asked about; the score is the mean pixel."""

    def forward(self, batch):
        self.seen = batch
        return ClassifierOutput(batch["image"].mean(dim=(1, 2, 3)).unsqueeze(1))


def test_absent_patches_and_words_are_replaced_and_the_rest_stays(batch):
    model, zero = Echo(), torch.zeros(3, dtype=torch.int64)
    played = coalitions.coalition_game(model, batch, zero, grid=2, fill=-1.0)
    assert played.owners == ("image",) * 4 + ("tokens",) * 4
    assert played.real[:, 4:].equal(batch["tokens_mask"])
    present = torch.tensor([[False, True, True, True, True, False, True, True]])
    assert played.values(present).shape == (1, 3)
    seen = model.seen["image"]
    assert seen[:, :, :16, :16].eq(-1).all()
    assert seen[:, :, 16:].equal(batch["image"][:, :, 16:])
    assert seen[:, :, :16, 16:].equal(batch["image"][:, :, :16, 16:])
    assert model.seen["tokens"][:, 1].eq(1).all()
    assert model.seen["tokens"][:, 2:].equal(batch["tokens"][:, 2:])
    assert model.seen["tokens_mask"].equal(batch["tokens_mask"])


def test_each_example_has_its_own_coalition(batch):
    played = coalitions.coalition_game(
        Echo(), batch, torch.zeros(3, dtype=torch.int64), 1, words=False, fill=0.0
    )
    present = torch.tensor([[[True], [False], [True]], [[False], [False], [True]]])
    whole = batch["image"].mean(dim=(1, 2, 3))
    expected = torch.stack([whole * present[0, :, 0], whole * present[1, :, 0]])
    torch.testing.assert_close(played.values(present), expected)


def test_many_coalitions_are_cut_into_chunks(batch, model, target, monkeypatch):
    played = coalitions.coalition_game(model, batch, Probability(target), grid=2)
    present = torch.rand(7, 8) < 0.5
    whole = played.values(present)
    monkeypatch.setattr(coalitions, "ROWS", 7)
    torch.testing.assert_close(played.values(present), whole)
    everybody = model(batch).logits.softmax(1).gather(1, target[:, None])[:, 0].detach()
    torch.testing.assert_close(played.values(torch.ones(1, 8).bool())[0], everybody)


def test_the_ground_is_the_median_colour():
    picture = torch.full((1, 3, 8, 8), 0.9)
    picture[:, 0, :5, :5] = 0.1  # less than half
    assert coalitions.baseline_value(picture).flatten().tolist() == pytest.approx([0.9] * 3)
    assert coalitions.baseline_value(picture, 0.5).eq(0.5).all()
    assert coalitions.baseline_value(picture, picture.flip(0)).equal(picture)


def test_patches_cover_a_picture_that_they_do_not_divide():
    patches = coalitions._patches(torch.zeros(1, 3, 5, 7), 2)
    assert patches.shape == (5, 7)
    assert patches.unique().tolist() == [0, 1, 2, 3]
    assert patches[[0, 0, 4, 4], [0, 6, 0, 6]].tolist() == [0, 1, 2, 3]


def test_errors_say_what_is_wrong(batch, model, target):
    with pytest.raises(ValueError, match="a game needs a player"):
        coalitions.coalition_game(model, batch, target, grid=0, words=False)
    with pytest.raises(KeyError, match="the batch lacks tokens"):
        coalitions.coalition_game(model, {"image": batch["image"]}, target)
    with pytest.raises(ValueError, match=r"must be \(K, 3, 8\)"):
        coalitions.coalition_game(model, batch, target, grid=2).values(torch.ones(2, 7).bool())
    with pytest.raises(ValueError, match=r"grid must fit into images .* got 40"):
        coalitions.coalition_game(model, batch, target, grid=40).values(torch.ones(1, 1604).bool())
