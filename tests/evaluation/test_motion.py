import pytest
import torch

from mmtutor.evaluation.motion import angular_error, endpoint_error


def flow(u, v):
    return torch.tensor([float(u), float(v)]).view(2, 1, 1)


def test_endpoint_error_by_hand():
    assert endpoint_error(flow(3, 4), flow(0, 0)).item() == 5
    assert endpoint_error(flow(1, 1), flow(1, -1)).item() == 2
    assert endpoint_error(torch.rand(4, 2, 3, 5), torch.rand(4, 2, 3, 5)).shape == (4, 3, 5)


def test_angular_error_by_hand():
    assert angular_error(flow(1, 0), flow(0, 0)).item() == pytest.approx(45)
    assert angular_error(flow(1, 0), flow(-1, 0)).item() == pytest.approx(90)
    assert angular_error(flow(1, 1), flow(1, 1)).item() == 0
    assert angular_error(flow(1e-4, 0), flow(0, 0)).item() == pytest.approx(0.0057296, rel=1e-3)


@pytest.mark.parametrize("metric", [endpoint_error, angular_error])
def test_shapes_must_fit(metric):
    with pytest.raises(ValueError, match=r"truth must be \(2, 3, 3\)"):
        metric(torch.zeros(2, 3, 3), torch.zeros(1, 2, 3, 3))
