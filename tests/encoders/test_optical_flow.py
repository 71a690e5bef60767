"""Optical flow: equal to least squares and to its own stationarity; exact motions are found."""

from itertools import pairwise

import pytest
import torch

from mmtutor.data.synthetic.textures import pair
from mmtutor.encoders.optical_flow import (
    _derivatives,
    _neighbour_mean,
    _smoothed,
    _warp,
    horn_schunck,
    horn_schunck_energy,
    lucas_kanade,
    pyramid_lucas_kanade,
)
from mmtutor.evaluation.motion import endpoint_error


def pictures(batch=2, height=13, width=17):
    generator = torch.Generator().manual_seed(0)
    return torch.rand(2, batch, height, width, generator=generator, dtype=torch.float64)


def moving(shift, **options):
    found = pair(size=48, shift=shift, **options)
    return found.first[None], found.second[None], found.flow[None]


def median_error(flow, truth):
    return endpoint_error(flow, truth)[..., 8:-8, 8:-8].median().item()


def test_slopes_of_a_cubic_are_exact_away_from_the_border():
    line = torch.arange(9, dtype=torch.float64)
    y, x = torch.meshgrid(line, line, indexing="ij")
    picture = (x**3 - 2 * x * y + 5 * y**2)[None]
    slopes = _derivatives(picture, picture + 3)
    inner = (0, slice(2, -2), slice(2, -2))
    torch.testing.assert_close(slopes.x[inner], (3 * x**2 - 2 * y)[inner[1:]])
    torch.testing.assert_close(slopes.y[inner], (10 * y - 2 * x)[inner[1:]])
    assert (slopes.t == 3).all()


@pytest.mark.parametrize("window", [3, 7])
def test_lucas_kanade_is_least_squares_in_each_window(window):
    first, second = pictures()
    flow, certainty = lucas_kanade(first, second, window)
    slopes, half = _derivatives(first, second), window // 2
    for row, y, x in [(0, 0, 0), (0, 6, 8), (1, 12, 16), (1, 5, 0), (0, 12, 3)]:
        seen = (row, slice(max(y - half, 0), y + half + 1), slice(max(x - half, 0), x + half + 1))
        a = torch.stack([slopes.x[seen].flatten(), slopes.y[seen].flatten()], dim=1)
        solution = torch.linalg.lstsq(a, -slopes.t[seen].reshape(-1, 1)).solution[:, 0]
        torch.testing.assert_close(flow[row, :, y, x], solution)
        smaller = torch.linalg.eigvalsh(a.T @ a / len(a))[0]
        torch.testing.assert_close(certainty[row, y, x], smaller)


def test_where_nothing_or_only_an_edge_is_seen_there_is_no_certainty():
    flat = torch.full((1, 12, 12), 0.5)
    flow, certainty = lucas_kanade(flat, flat)
    assert not flow.any()
    assert not certainty.any()
    edges = torch.linspace(0, 9, 30).sin().expand(1, 30, 30)
    flow, certainty = lucas_kanade(edges, edges.roll(1, 2))
    assert flow.isfinite().all()
    assert certainty[0, 8:-8, 8:-8].max() < 1e-6


@pytest.mark.parametrize("shift", [(0.3, -0.2), (0.0, 0.5), (-0.7, 0.4)])
def test_small_motions_are_found(shift):
    first, second, truth = moving(shift)
    assert median_error(lucas_kanade(first, second).flow, truth) < 0.05
    assert median_error(horn_schunck(first, second, 0.02, 300), truth) < 0.05


def test_large_motions_need_the_pyramid():
    first, second, truth = moving((5.0, -4.0), wavelengths=(8.0, 40.0))
    assert median_error(lucas_kanade(first, second).flow, truth) > 2
    assert median_error(pyramid_lucas_kanade(first, second).flow, truth) < 0.1


def test_one_level_and_one_iteration_of_the_pyramid_is_lucas_kanade_smoothed():
    first, second, _ = moving((0.3, -0.2))
    plain = _smoothed(lucas_kanade(first, second).flow.clamp(-1, 1))
    pyramid = pyramid_lucas_kanade(first, second, levels=1, iterations=1)
    torch.testing.assert_close(pyramid.flow, plain, atol=1e-4, rtol=1e-3)


def test_more_iterations_do_not_run_away():
    first, second, truth = moving((2.0, 0.0), wavelengths=(8.0, 40.0))
    errors = [
        median_error(pyramid_lucas_kanade(first, second, iterations=n).flow, truth) for n in (1, 8)
    ]
    assert errors[1] < errors[0] < 0.1


@pytest.mark.parametrize("smoothness", [0.3, 1.0])
def test_horn_schunck_converges_to_the_minimum_of_its_energy(smoothness):
    """The gradient of the energy, by autograd, vanishes there, on the border too."""
    first, second = pictures()
    flow = horn_schunck(first, second, smoothness, 8_000).requires_grad_()
    energy = horn_schunck_energy(first, second, flow, smoothness).sum()
    (gradient,) = torch.autograd.grad(energy, flow)
    assert gradient.abs().max() < 1e-8
    x, y, t = _derivatives(first, second)
    rest = x * flow[:, 0] + y * flow[:, 1] + t  # the Euler-Lagrange equations
    bend = smoothness**2 * (_neighbour_mean(flow) - flow)
    torch.testing.assert_close(bend, torch.stack([x, y], 1) * rest.unsqueeze(1))


def test_each_iteration_of_horn_schunck_lowers_the_energy():
    first, second = pictures()
    energies = [
        horn_schunck_energy(first, second, horn_schunck(first, second, 0.2, n), 0.2)
        for n in (0, 1, 2, 3, 10, 100)
    ]
    for before, after in pairwise(energies):
        assert (after < before).all()


def test_a_smoother_flow_costs_more_of_the_data():
    first, second, _ = moving((0.5, 0.2), angle=2)
    rough = [horn_schunck(first, second, a, 500).diff(dim=3).square().sum() for a in (0.01, 1.0)]
    assert rough[0] > 2 * rough[1]


def test_warping_by_whole_pixels_is_indexing():
    picture = torch.rand(1, 9, 9)
    flow = torch.tensor([2.0, -1.0]).view(1, 2, 1, 1).expand(1, 2, 9, 9)
    torch.testing.assert_close(
        _warp(picture, flow)[:, 1:, :-2], picture[:, :-1, 2:], atol=1e-5, rtol=0
    )


def test_warping_the_second_picture_back_gives_the_first():
    first, second, truth = moving((1.3, 0.6), angle=3, zoom=1.02)
    inner = (slice(None), slice(8, -8), slice(8, -8))
    assert (second - first)[inner].abs().max() > 0.1
    assert (_warp(second, truth) - first)[inner].abs().max() < 0.02


def test_each_picture_of_a_batch_is_by_itself():
    first, second = pictures(3)
    for method in (
        lambda a, b: lucas_kanade(a, b).flow,
        lambda a, b: pyramid_lucas_kanade(a, b, levels=2).flow,
        lambda a, b: horn_schunck(a, b, iterations=20),
    ):
        torch.testing.assert_close(method(first, second)[1:2], method(first[1:2], second[1:2]))


def test_gradients_reach_the_pictures():
    first, second = (picture.requires_grad_() for picture in pictures(1))
    for flow in (lucas_kanade(first, second).flow, horn_schunck(first, second, iterations=5)):
        for gradient in torch.autograd.grad(flow.sum(), (first, second)):
            assert gradient.isfinite().all()
            assert gradient.any()


def test_what_is_no_pair_of_pictures_is_named():
    with pytest.raises(ValueError, match=r"must be \(B, H, W\)"):
        lucas_kanade(torch.rand(3, 4), torch.rand(3, 4))
    with pytest.raises(TypeError, match="uint8"):
        horn_schunck(*torch.zeros(2, 1, 4, 4, dtype=torch.uint8))
    with pytest.raises(ValueError, match="window must be an odd number of pixels, got 4"):
        lucas_kanade(torch.rand(1, 8, 8), torch.rand(1, 8, 8), 4)
    with pytest.raises(ValueError, match=r"smoothness must be in \(0, inf\), got 0"):
        horn_schunck(torch.rand(1, 8, 8), torch.rand(1, 8, 8), 0)
