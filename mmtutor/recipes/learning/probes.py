"""Linear classifiers on what a frozen encoder made of pictures.

Knows vectors and labels; does not know where they come from.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def probabilities(x: Tensor, label: Tensor, of: Tensor, classes: int, c: float = 10.0) -> Tensor:
    """Logistic regression on (N, D) with labels (N,): what it gives each row of (M, D), (M, C).

    A class that has no label yet gets probability 0. `c` weighs the labels against a small norm of
    the weights, as in scikit-learn's `LogisticRegression`: a large one fits closely.
    """
    seen, target = label.unique(return_inverse=True)
    weight = torch.zeros(x.shape[1], len(seen), requires_grad=True)
    bias = torch.zeros(len(seen), requires_grad=True)
    line_search = {"line_search_fn": "strong_wolfe", "tolerance_change": 1e-6}
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=50, tolerance_grad=1e-4, **line_search)

    def closure() -> Tensor:
        optimizer.zero_grad()
        norm = weight.square().sum() / (2 * c * len(x))
        loss = F.cross_entropy(x @ weight + bias, target) + norm
        loss.backward()
        return loss

    optimizer.step(closure)
    found = torch.zeros(len(of), classes, dtype=torch.float64)
    found[:, seen] = (of @ weight + bias).detach().double().softmax(dim=1)
    return found
