"""Maps against masks whose answer is known, curves of a known model, and the sanity check."""

import pytest
import torch
from scipy.stats import spearmanr

from mmtutor.evaluation.explanations import (
    centre_maps,
    edge_maps,
    energy_inside,
    pointing_game,
    random_maps,
    rank_correlation,
)


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


def test_errors_name_what_is_wrong():
    with pytest.raises(ValueError, match="mask of example 1 is empty"):
        pointing_game(torch.rand(2, 8, 8), masks((0, 0, 2), (0, 0, 0)))
    with pytest.raises(ValueError, match=r"expected maps and masks \(B, H, W\)"):
        energy_inside(torch.rand(2, 8, 8), masks((0, 0, 2)))
    with pytest.raises(ValueError, match="not finite"):
        pointing_game(torch.full((1, 8, 8), torch.nan), masks((0, 0, 2)))
    with pytest.raises(ValueError, match="maps differ in shape"):
        rank_correlation(torch.rand(2, 3), torch.rand(2, 4))
