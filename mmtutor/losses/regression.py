"""Squared error, and the linear regression that minimises it in closed form.

Knows predictions and targets; knows nothing of models or of training.
"""

import torch
from torch import Tensor


def mean_squared_error(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean of the squared differences, in squared units of the target: a scalar.

    Nothing is broadcast: (B, 1) against (B,) would compare every prediction with every target.

    Args:
        prediction: any shape, floating point.
        target: of the same shape.

    Raises:
        ValueError: the shapes differ, or there is nothing to average.
    """
    if prediction.shape != target.shape or not prediction.numel():
        raise ValueError(
            "prediction and target must have one shape that is not empty, got "
            f"{tuple(prediction.shape)} and {tuple(target.shape)}"
        )
    dtype = torch.promote_types(prediction.dtype, torch.float32)
    return (prediction.to(dtype) - target.to(dtype)).square().mean()


def least_squares(x: Tensor, y: Tensor, ridge: float = 0.0) -> tuple[Tensor, Tensor]:
    """The weights and bias with the smallest mean squared error plus `ridge` * |weights|^2.

    Solves the normal equations (X'X / N + ridge I) w = X'y / N of the centred data; the bias is
    not penalised (Hastie, Tibshirani and Friedman 2009, section 3.4.1).

    Args:
        x: (N, D) float32 or float64.
        y: (N,) likewise.
        ridge: at least 0; above 0 where columns of `x` depend on each other.

    Returns:
        weight (D,) and bias (), so that x @ weight + bias predicts y.

    Raises:
        ValueError: the shapes do not fit, or `ridge` is negative.
        torch.linalg.LinAlgError: the columns depend on each other and `ridge` is 0. Where they
            nearly do, no error comes, and the weights mean little.
    """
    if x.ndim != 2 or not len(x) or y.shape != x.shape[:1] or ridge < 0:
        raise ValueError(
            f"least_squares needs x (N, D), y (N,) and ridge >= 0, got {tuple(x.shape)}, "
            f"{tuple(y.shape)} and {ridge}"
        )
    centre = x.mean(dim=0)
    X, t = x - centre, y - y.mean()
    gram = X.T @ X / len(x) + ridge * torch.eye(x.shape[1]).to(X)
    weight = torch.linalg.solve(gram, X.T @ t / len(x))
    return weight, y.mean() - centre @ weight
