"""Squared error, and the linear regression that minimises it in closed form.

Knows predictions and targets; knows nothing of models or of training.
"""

import torch
from torch import Tensor

from mmtutor import checks
from mmtutor.encoders.base import wide
from mmtutor.losses.classification import same_shape


def mean_squared_error(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean of the squared differences, in squared units of the target: a scalar.

    Nothing is broadcast: (B, 1) against (B,) would compare every prediction with every target.

    Args:
        prediction: any shape, floating point.
        target: of the same shape.

    Raises:
        ValueError: the shapes differ, or there is nothing to average.
    """
    same_shape(prediction=prediction, target=target)
    checks.floating(prediction=prediction)
    prediction = wide(prediction)
    return (prediction - target.to(prediction.dtype)).square().mean()


def least_squares(x: Tensor, y: Tensor, ridge: float = 0.0) -> tuple[Tensor, Tensor]:
    """The weights and bias with the smallest mean squared error plus `ridge` * |weights|^2.

    Solves the normal equations (X'X / N + ridge I) w = X'y / N of the centred data; the bias is
    not penalised (Hastie, Tibshirani and Friedman 2009, section 3.4.1).

    Args:
        x: (N, D) floating point; half precision is solved in float32.
        y: (N,) likewise, or (N, E), E targets at once.
        ridge: at least 0; above 0 where columns of `x` depend on each other.

    Returns:
        weight (D,) and bias (), or (D, E) and (E,), so that x @ weight + bias predicts y.

    Raises:
        ValueError: the shapes do not fit, or `ridge` is negative.
        torch.linalg.LinAlgError: the columns depend on each other and `ridge` is 0. Where they
            nearly do, no error comes, and the weights mean little.
    """
    checks.shaped(x=(x, "N D"), y=(y, "N | N E"))
    checks.floating(x=x, y=y)
    checks.within("[0, inf)", ridge=ridge)
    x, y = wide(x), y.to(wide(x).dtype)
    centre = x.mean(dim=0)
    X, t = x - centre, y - y.mean(dim=0)
    gram = X.T @ X / len(x) + ridge * torch.eye(x.shape[1]).to(X)
    weight = torch.linalg.solve(gram, X.T @ t / len(x))
    return weight, y.mean(dim=0) - centre @ weight
