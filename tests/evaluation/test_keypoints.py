import pytest
import torch

from mmtutor.evaluation.keypoints import confused_sides, correct_keypoints, trunk_length


def test_pck_by_hand():
    truth = torch.tensor([[[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]]])
    predicted = truth + torch.tensor([[[0.0, 2.0], [2.0, 2.0], [-1.0, 1.5]]])
    correct = correct_keypoints(predicted, truth, torch.tensor([10.0]), 0.2)
    assert correct.tolist() == [[True, False, True]]  # 2.0, on the edge; 2.83; 1.80
    assert correct_keypoints(predicted, truth, torch.tensor([20.0]), 0.2).all()


def test_pck_does_not_change_with_the_size_of_the_figure():
    truth, noise = torch.rand(20, 13, 2) * 40, torch.randn(20, 13, 2) * 3
    scale = torch.full((20,), 12.0)
    small = correct_keypoints(truth + noise, truth, scale)
    assert torch.equal(small, correct_keypoints(4 * (truth + noise), 4 * truth, 4 * scale))
    assert 0 < small.double().mean() < 1


def test_the_trunk_goes_from_the_left_shoulder_to_the_right_hip():
    joints = torch.zeros(1, 13, 2)
    joints[0, 1], joints[0, 8] = torch.tensor([3.0, 0.0]), torch.tensor([0.0, 4.0])
    assert trunk_length(joints).tolist() == [5]


def test_confused_sides_by_hand():
    truth = torch.tensor([[[5.0, 0.0], [0.0, 5.0], [10.0, 5.0]]])
    predicted = torch.tensor([[[9.0, 9.0], [6.0, 5.0], [9.0, 5.0]]])
    assert confused_sides(predicted, truth, (0, 2, 1)).tolist() == [[False, True, False]]


def test_what_is_wrong_is_named():
    places = torch.zeros(2, 3, 2)
    with pytest.raises(ValueError, match=r"scale must be \(N,\) with N = 2, got .*\(3,\)"):
        correct_keypoints(places, places, torch.ones(3))
    with pytest.raises(ValueError, match=r"alpha must be in \(0, inf\), got 0"):
        correct_keypoints(places, places, torch.ones(2), 0)
    with pytest.raises(ValueError, match=r"scale must be in \(0, inf\), got 0"):
        correct_keypoints(places, places, torch.zeros(2))
