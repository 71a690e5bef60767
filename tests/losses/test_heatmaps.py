import math

import pytest
import torch

from mmtutor.losses.heatmaps import _hills, heatmap_cross_entropy
from mmtutor.models.pose import _PoseOutput


def test_a_flat_map_costs_the_logarithm_of_its_cells():
    output = _PoseOutput(torch.zeros(2, 3, 4, 5), 2)
    loss = heatmap_cross_entropy(output, {"joints": torch.rand(2, 3, 2) * 8})
    assert loss.item() == pytest.approx(math.log(20), rel=1e-6)


def test_hills_sum_to_one_and_stand_where_they_should():
    hill = _hills(torch.tensor([[[3.0, 1.0], [-5.0, 9.0]]]), 4, 6).unflatten(2, (4, 6))
    torch.testing.assert_close(hill.sum(dim=(2, 3)), torch.ones(1, 2))
    assert hill[0, 0].flatten().argmax() == 1 * 6 + 3
    assert hill[0, 1].flatten().argmax() == 3 * 6 + 0
    assert (hill[0, 0, 1, 3] / hill[0, 0, 1, 4]).item() == pytest.approx(math.exp(0.5))


def test_the_loss_is_least_for_the_right_map():
    joints = torch.tensor([[[4.5, 2.5]]])
    right = _PoseOutput(_hills(torch.tensor([[[2.0, 1.0]]]), 4, 4).log().view(1, 1, 4, 4), 2)
    wrong = _PoseOutput(right.heatmaps.flip(3), 2)
    losses = [heatmap_cross_entropy(output, {"joints": joints}) for output in (right, wrong)]
    assert losses[0] < losses[1]
    maps = right.heatmaps.clone().requires_grad_()
    heatmap_cross_entropy(_PoseOutput(maps, 2), {"joints": joints}).backward()
    assert maps.grad.abs().max() < 1e-6


def test_shapes_must_fit():
    with pytest.raises(ValueError, match=r"joints must be \(B, J, 2\) with B = 1, J = 2"):
        heatmap_cross_entropy(
            _PoseOutput(torch.zeros(1, 2, 4, 4), 2), {"joints": torch.zeros(1, 2)}
        )
    with pytest.raises(KeyError, match="lacks joints"):
        heatmap_cross_entropy(_PoseOutput(torch.zeros(1, 2, 4, 4), 2), {"image": torch.zeros(1)})
