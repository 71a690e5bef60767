"""Maps against masks whose answer is known, curves of a known model, and the sanity check."""

import pytest
import torch
from scipy.stats import spearmanr
from torch import nn

from mmtutor.evaluation.explanations.quality import (
    centre_maps,
    deletion_insertion,
    edge_maps,
    energy_inside,
    pointing_game,
    random_maps,
    rank_correlation,
    sanity_check,
)
from mmtutor.explain import gradient, randomised
from mmtutor.models.classifier import ClassifierOutput


def masks(*boxes, size=8):
    out = torch.zeros(len(boxes), size, size, dtype=torch.bool)
    for row, (top, left, side) in enumerate(boxes):
        out[row, top : top + side, left : left + side] = True
    return out


def test_the_highest_point_decides():
    maps = torch.zeros(3, 8, 8)
    maps[0, 2, 2], maps[1, 2, 1], maps[2, 7, 7] = 1, 1, 1
    maps[2, 2, 2] = -9  # below, not above
    objects = masks((2, 2, 3), (2, 2, 3), (2, 2, 3))
    assert pointing_game(maps, objects).tolist() == [True, False, False]
    assert pointing_game(maps, objects, tolerance=1).tolist() == [True, True, False]
    assert pointing_game(maps, objects, tolerance=3).tolist() == [True, True, True]


def test_ties_need_a_majority():
    flat = torch.zeros(2, 8, 8)
    assert pointing_game(flat, masks((0, 0, 2), (0, 0, 8))).tolist() == [False, True]
    maps = masks((2, 2, 2)).float()
    half, three = masks((2, 2, 2)), masks((2, 2, 2))
    half[0, :, 3] = False
    three[0, 3, 3] = False
    assert pointing_game(maps, half).tolist() == [False]
    assert pointing_game(maps, three).tolist() == [True]


def test_noise_hits_as_often_as_the_object_is_large():
    images = torch.zeros(4000, 3, 8, 8)
    objects = masks((1, 3, 4)).expand(4000, -1, -1)
    hits = pointing_game(random_maps(images), objects).double().mean()
    assert abs(hits - 16 / 64) < 0.03


def test_energy_is_a_share_of_what_is_positive():
    maps, objects = torch.zeros(3, 8, 8), masks((0, 0, 4), (0, 0, 4), (0, 0, 4))
    maps[0, 0, 0], maps[0, 7, 7], maps[0, 6, 6] = 3, 1, -8
    maps[1] = -1  # nothing positive
    maps[2] = 5
    torch.testing.assert_close(energy_inside(maps, objects), torch.tensor([0.75, 0.25, 0.25]))


def test_controls_have_the_shape_of_the_pictures():
    images = torch.rand(2, 3, 9, 12)
    for maps in (random_maps(images), centre_maps(images), edge_maps(images)):
        assert maps.shape == (2, 9, 12)
    assert centre_maps(images)[0].argmax() in (4 * 12 + 5, 4 * 12 + 6)
    step = torch.zeros(1, 3, 9, 12)
    step[..., 6:] = 1
    edges = edge_maps(step)[0]
    assert edges[:, 5:7].gt(0).all()
    assert not edges[:, :5].any()
    assert not edges[:, 7:].any()


def test_rank_correlation_equals_scipys_ties_included():
    torch.manual_seed(0)
    x, y = torch.randint(0, 5, (40, 30)).float(), torch.randint(0, 9, (40, 30)).float()
    theirs = torch.tensor([spearmanr(a, b).statistic for a, b in zip(x, y, strict=True)])
    torch.testing.assert_close(rank_correlation(x, y), theirs, atol=1e-12, rtol=0)
    torch.testing.assert_close(rank_correlation(x, x.exp()), torch.ones(40).double())
    assert rank_correlation(x, torch.ones_like(x)).tolist() == [0] * 40


class Sum(nn.Module):
    """The score of class 0 is the weighted sum of all pixels; class 1 scores 0."""

    def __init__(self, size=8):
        super().__init__()
        self.head = nn.Linear(3 * size**2, 1, bias=False)

    def forward(self, batch):
        score = self.head(batch["image"].flatten(1))
        return ClassifierOutput(torch.cat([score, torch.zeros_like(score)], dim=1))


def test_curves_of_a_sum_by_hand():
    """One pixel in four counts; a perfect map takes these first, its opposite last."""
    model, target = Sum(4), torch.tensor([0])
    weight = torch.zeros(3, 4, 4)
    weight[:, 0] = 1
    model.head.weight.data = weight.view(1, -1)
    batch = {"image": torch.ones(1, 3, 4, 4)}

    def logit(model, batch):
        return model(batch).logits[:, 0]

    found = deletion_insertion(model, batch, logit, weight[:1], steps=4, fill=0.0)
    assert found.deletion.tolist() == [[12, 0, 0, 0, 0]]
    assert found.insertion.tolist() == [[0, 12, 12, 12, 12]]
    assert (found.deletion_area.item(), found.insertion_area.item()) == (1.5, 10.5)
    worst = deletion_insertion(model, batch, logit, -weight[:1], steps=4, fill=0.0)
    assert worst.deletion.tolist() == [[12, 12, 12, 12, 0]]
    by_class = deletion_insertion(model, batch, target, weight[:1], steps=4, fill=0.0)
    torch.testing.assert_close(by_class.deletion, found.deletion.sigmoid())


def test_the_sanity_check_tells_maps_of_the_model_from_maps_of_the_picture():
    torch.manual_seed(0)
    model, target = Sum(), torch.zeros(6, dtype=torch.int64)
    batch = {"image": torch.rand(6, 3, 8, 8)}
    about_model = sanity_check(gradient, model, batch, target, seeds=range(10))
    assert about_model.passes
    assert about_model.similarity.high < 0.3
    about_picture = sanity_check(lambda m, b, t: edge_maps(b["image"]), model, batch, target)
    assert not about_picture.passes
    assert about_picture.similarity.estimate == pytest.approx(1)
    assert about_picture.per_example.shape == (6,)

    def signed(model, batch, target):
        return edge_maps(batch["image"]) * model.head.weight[0, 0].sign()

    seeds = [
        s for s in range(9) if randomised(model, s).head.weight[0, 0] * model.head.weight[0, 0] < 0
    ]
    assert sanity_check(signed, model, batch, target, seeds).passes
    assert not sanity_check(signed, model, batch, target, seeds, absolute=True).passes
    model.unused = nn.Linear(2, 2)
    kept = sanity_check(gradient, model, batch, target, only="unused")
    assert kept.similarity.estimate == pytest.approx(1)


def test_errors_name_what_is_wrong():
    with pytest.raises(ValueError, match="empty one of example 1"):
        pointing_game(torch.rand(2, 8, 8), masks((0, 0, 2), (0, 0, 0)))
    with pytest.raises(ValueError, match=r"must be \(B, H, W\)"):
        energy_inside(torch.rand(2, 8, 8), masks((0, 0, 2)))
    with pytest.raises(ValueError, match="must be finite"):
        pointing_game(torch.full((1, 8, 8), torch.nan), masks((0, 0, 2)))
    with pytest.raises(ValueError, match="must be"):
        deletion_insertion(Sum(), {"image": torch.rand(2, 3, 8, 8)}, None, torch.rand(2, 4, 4))
    with pytest.raises(ValueError, match="must have one shape"):
        rank_correlation(torch.rand(2, 3), torch.rand(2, 4))


def test_a_map_that_is_flat_whatever_the_weights_does_not_pass():
    def nothing(model, batch, target):
        return torch.zeros_like(batch["image"][:, 0])

    found = sanity_check(
        nothing, nn.Linear(2, 2), {"image": torch.rand(3, 3, 8, 8)}, torch.zeros(3)
    )
    assert found.similarity.estimate == 1
    assert not found.passes
