import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import LinearRegression, Ridge

from mmtutor.losses import least_squares, mean_squared_error


def problem(n=20, d=3):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, d, generator=generator, dtype=torch.float64) + 1
    noise = torch.randn(n, generator=generator, dtype=torch.float64)
    return x, x @ torch.arange(1.0, d + 1, dtype=torch.float64) - 2 + noise


def test_mean_squared_error_by_hand():
    loss = mean_squared_error(torch.tensor([1.0, 2.0, 4.0]), torch.tensor([1.0, 0.0, 1.0]))
    assert loss.item() == pytest.approx((0 + 4 + 9) / 3)


@pytest.mark.parametrize("shape", [(1,), (5, 3)])
def test_mean_squared_error_equals_the_library(shape):
    x, y = torch.randn(shape, requires_grad=True), torch.randn(shape)
    ours, theirs = mean_squared_error(x, y), F.mse_loss(x, y)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(*(torch.autograd.grad(loss, x)[0] for loss in (ours, theirs)))


def test_its_gradient_is_right():
    x, y = torch.randn(2, 4, dtype=torch.float64)
    assert torch.autograd.gradcheck(mean_squared_error, (x.requires_grad_(), y))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_large_errors_in_half_precision_stay_finite(dtype):
    """The square of 10,000 is too large for float16."""
    x = torch.full((2,), 1e4, dtype=dtype, requires_grad=True)
    loss = mean_squared_error(x, torch.zeros(2, dtype=dtype))
    assert loss.item() == pytest.approx(1e8, rel=0.01)
    assert torch.autograd.grad(loss, x)[0].isfinite().all()


def test_nothing_is_broadcast():
    with pytest.raises(ValueError, match=r"\(4, 1\) and \(4,\)"):
        mean_squared_error(torch.zeros(4, 1), torch.zeros(4))
    with pytest.raises(ValueError, match="not empty"):
        mean_squared_error(torch.zeros(0), torch.zeros(0))


def test_an_exact_line_is_found():
    x = torch.tensor([[0.0], [1.0], [2.0]])
    weight, bias = least_squares(x, torch.tensor([1.0, 3.0, 5.0]))
    torch.testing.assert_close((weight, bias), (torch.tensor([2.0]), torch.tensor(1.0)))


def test_several_targets_are_solved_as_one_by_one():
    torch.manual_seed(0)
    x, y = torch.randn(20, 3), torch.randn(20, 2)
    weight, bias = least_squares(x, y, ridge=0.2)
    for k in range(2):
        alone = least_squares(x, y[:, k], ridge=0.2)
        torch.testing.assert_close((weight[:, k], bias[k]), alone)


def test_least_squares_equals_the_library():
    x, y = problem()
    weight, bias = least_squares(x, y)
    theirs = LinearRegression().fit(x, y)
    assert weight.tolist() == pytest.approx(theirs.coef_.tolist())
    assert bias.item() == pytest.approx(theirs.intercept_)


def test_ridge_equals_the_library():
    """scikit-learn penalises the sum of squares, this the mean: alpha is ridge times N."""
    x, y = problem()
    weight, bias = least_squares(x, y, ridge=0.3)
    theirs = Ridge(alpha=0.3 * len(x)).fit(x, y)
    assert weight.tolist() == pytest.approx(theirs.coef_.tolist())
    assert bias.item() == pytest.approx(theirs.intercept_)


def test_the_gradient_of_the_loss_is_zero_at_the_solution():
    x, y = problem()
    found = [part.requires_grad_() for part in least_squares(x, y)]
    loss = mean_squared_error(x @ found[0] + found[1], y)
    for gradient in torch.autograd.grad(loss, found):
        torch.testing.assert_close(gradient, torch.zeros_like(gradient))


def test_the_solution_is_differentiable():
    x, y = problem(6, 2)
    assert torch.autograd.gradcheck(least_squares, (x.requires_grad_(), y.requires_grad_(), 0.1))


def test_one_example_needs_a_penalty():
    x, y = torch.ones(1, 2), torch.tensor([3.0])
    with pytest.raises(torch.linalg.LinAlgError):
        least_squares(x, y)
    weight, bias = least_squares(x, y, ridge=1.0)
    assert weight.tolist() == [0, 0]
    assert bias.item() == 3


def test_wrong_input_is_named():
    with pytest.raises(ValueError, match=r"y must be .*N = 2"):
        least_squares(torch.zeros(2, 3), torch.zeros(3))
    with pytest.raises(ValueError, match=r"ridge must be in \[0, inf\), got -1"):
        least_squares(torch.zeros(2, 3), torch.zeros(2), ridge=-1.0)
