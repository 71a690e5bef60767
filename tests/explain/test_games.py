"""What is taken away, and that the rest stays."""

import pytest
import torch
from torch import nn

from mmtutor.explain import games
from mmtutor.explain.targets import Probability
from mmtutor.models.classifier import ClassifierOutput


class Echo(nn.Module):
    """Keeps the batch it is asked about; the score is the mean pixel."""

    def forward(self, batch):
        self.seen = batch
        return ClassifierOutput(batch["image"].mean(dim=(1, 2, 3)).unsqueeze(1))


def test_absent_patches_and_words_are_replaced_and_the_rest_stays(batch):
    model, zero = Echo(), torch.zeros(3, dtype=torch.int64)
    played = games.game(model, batch, zero, image=2, fill=-1.0)
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
    played = games.game(Echo(), batch, torch.zeros(3, dtype=torch.int64), 1, words=False, fill=0.0)
    present = torch.tensor([[[True], [False], [True]], [[False], [False], [True]]])
    whole = batch["image"].mean(dim=(1, 2, 3))
    expected = torch.stack([whole * present[0, :, 0], whole * present[1, :, 0]])
    torch.testing.assert_close(played.values(present), expected)


def test_many_coalitions_are_cut_into_chunks(batch, model, target, monkeypatch):
    played = games.game(model, batch, Probability(target), image=2)
    present = torch.rand(7, 8) < 0.5
    whole = played.values(present)
    monkeypatch.setattr(games, "ROWS", 7)
    torch.testing.assert_close(played.values(present), whole)
    everybody = model(batch).logits.softmax(1).gather(1, target[:, None])[:, 0].detach()
    torch.testing.assert_close(played.values(torch.ones(1, 8).bool())[0], everybody)


def test_two_players_for_two_modalities(batch):
    model = Echo()
    played = games.modality_game(model, batch, torch.zeros(3, dtype=torch.int64))
    assert played.owners == ("image", "tokens")
    assert played.real.all()
    played.values(torch.tensor([[True, False]]))
    assert model.seen["tokens"].eq(1).all()
    assert model.seen["image"].equal(batch["image"])
    played.values(torch.tensor([[False, True]]))
    assert model.seen["tokens"].equal(batch["tokens"])
    assert model.seen["image"].flatten(2).std(dim=2).max() < 1e-6


def test_the_ground_is_the_median_colour():
    picture = torch.full((1, 3, 8, 8), 0.9)
    picture[:, 0, :5, :5] = 0.1  # less than half
    assert games.filler(picture).flatten().tolist() == pytest.approx([0.9] * 3)
    assert games.filler(picture, 0.5).eq(0.5).all()
    assert games.filler(picture, picture.flip(0)).equal(picture)


def test_cells_and_paint_agree():
    images = torch.zeros(1, 3, 5, 7)
    assert games.cells(images, 2).unique().tolist() == [0, 1, 2, 3]
    painted = games.paint(torch.tensor([[1.0, 2, 3, 4]]), images)
    assert painted.shape == (1, 5, 7)
    assert painted[0, [0, 0, 4, 4], [0, 6, 0, 6]].tolist() == [1, 2, 3, 4]


def test_errors_say_what_is_wrong(batch, model, target):
    with pytest.raises(ValueError, match="a game needs a player"):
        games.game(model, batch, target, image=0, words=False)
    with pytest.raises(KeyError, match="the batch lacks tokens"):
        games.game(model, {"image": batch["image"]}, target)
    with pytest.raises(ValueError, match=r"expected \(K, 3, 8\)"):
        games.game(model, batch, target, image=2).values(torch.ones(2, 7).bool())
    with pytest.raises(ValueError, match="40 rows of patches do not fit"):
        games.game(model, batch, target, image=40).values(torch.ones(1, 1604).bool())
