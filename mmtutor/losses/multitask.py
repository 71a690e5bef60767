"""Several losses at once: how they are weighted, and how their gradients are combined.

Knows predictions by task, and parameters that tasks share. Knows nothing of encoders, or of what a
task asks. Objectives that look at gradients cost one more backward pass for each task; over several
processes each one balances its own gradients, and the results are averaged.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmtutor import checks
from mmtutor.data.batch import require
from mmtutor.encoders.base import wide
from mmtutor.losses.classification import class_loss

Combine = Callable[[Tensor], Tensor]


def task_losses(output: NamedTuple, batch: dict[str, Tensor]) -> Tensor:
    """The loss of every task, (T,), in the order of `output.tasks`, in float32 at least.

    Args:
        output: has `tasks`, predictions (B, C) by task, such as those of `MultiTask`.
        batch: has each task's target under the task's name: int64 (B,) in [0, C) asks for
            cross-entropy in nats, floating (B, C) for mean squared error.

    Raises:
        KeyError: the batch lacks a target.
        ValueError: the shapes do not fit.
    """
    require(batch, *output.tasks)
    return torch.stack([_loss(name, x, batch[name]) for name, x in output.tasks.items()])


def _loss(name: str, prediction: Tensor, target: Tensor) -> Tensor:
    checks.instance(Tensor, **{name: target})
    if not target.is_floating_point():
        return class_loss(prediction, target, names=(f"tasks[{name!r}]", name))
    checks.shaped(**{f"tasks[{name!r}]": (prediction, "B C"), name: (target, "B C")})
    checks.floating(**{f"tasks[{name!r}]": prediction})
    return F.mse_loss(wide(prediction), target.to(wide(prediction).dtype))


class WeightedSum(nn.Module):
    """The objective sum of w_k L_k with weights that never change.

    Args:
        weights: one for each task, by name, at least 0; None weights all with 1.
    """

    def __init__(self, weights: Mapping[str, float] | None = None) -> None:
        super().__init__()
        checks.instance((Mapping, type(None)), weights=weights)
        each = (weights or {}).items()
        checks.within("[0, inf)", **{f"weights[{task!r}]": weight for task, weight in each})
        self.weights = weights

    def forward(self, output: NamedTuple, batch: dict[str, Tensor]) -> Tensor:
        """A scalar. Raises KeyError if a task has no weight, else as `task_losses`."""
        losses = task_losses(output, batch)
        if self.weights is None:
            return losses.sum()
        require(self.weights, *output.tasks)
        return losses @ losses.new_tensor([self.weights[name] for name in output.tasks])


class UncertaintyWeighting(nn.Module):
    """Learned weights: the sum of (exp(-s_k) L_k + s_k) / 2 (Kendall, Gal and Cipolla 2018).

    s_k is the logarithm of the variance of task k's noise (section 3.2, eq. 7). For given losses
    the best s_k is log L_k, so L_k is weighted by 1 / (2 L_k), and what is left to minimise is half
    the sum of log L_k: the units of a loss do not matter. (Eq. 10 gives a classification exp(-s) L
    without the half; its best s is log(2 L), and the weight at the best s is 1 / (2 L) too.)

    Args:
        tasks: their number T.
        speed: s = speed * parameter. Adam moves a parameter by its learning rate a step, however
            steep the loss; a speed of 1 may need thousands of steps to reach log L.
    """

    def __init__(self, tasks: int, speed: float = 1.0) -> None:
        super().__init__()
        checks.at_least(1, tasks=tasks)
        checks.within("(0, inf)", speed=speed)
        self.parameter = nn.Parameter(torch.zeros(tasks))
        self.speed = speed

    @property
    def log_variance(self) -> Tensor:
        """s (T,)."""
        return self.speed * self.parameter

    def forward(self, output: NamedTuple, batch: dict[str, Tensor]) -> Tensor:
        """A scalar, which may be negative. Raises as `task_losses`."""
        losses, s = task_losses(output, batch), self.log_variance
        checks.shaped(tasks=(losses, str(len(s))))
        return ((-s).exp() * losses + s).sum() / 2


def task_gradients(losses: Tensor, parameters: Sequence[Tensor]) -> Tensor:
    """Gradient of each loss on the same P numbers: losses (T,), parameters -> (T, P).

    The graph is kept, nothing is added to any `.grad`, and a parameter that a loss does not reach
    counts as zeros. Raises ValueError without parameters.
    """
    checks.shaped(losses=(losses, "T"))
    checks.floating(losses=losses)
    if not losses.requires_grad:
        raise ValueError("losses must depend on the parameters, got constants")
    parameters = checks.listed(Tensor, parameters=parameters)
    checks.same_length(parameters=parameters)  # without any the tasks' gradients never meet
    rows = [
        torch.autograd.grad(loss, parameters, retain_graph=True, materialize_grads=True)
        for loss in losses
    ]
    return torch.stack([torch.cat([part.flatten() for part in row]) for row in rows])


def gradient_cosines(gradients: Tensor) -> Tensor:
    """Cosine between every two tasks' gradients: (T, P) -> (T, T); 0 for a gradient of zeros."""
    unit = F.normalize(_checked(gradients), dim=1)
    return unit @ unit.T


def pcgrad(gradients: Tensor) -> Tensor:
    """Projecting conflicting gradients (Yu et al. 2020, algorithm 1): (T, P) -> (P,).

    Where two gradients disagree (negative inner product), each loses its part along the other; the
    results are summed. Others are taken in random order, which matters from three tasks on.
    """
    squares = _checked(gradients).square().sum(dim=1)
    projected = gradients.clone()
    for i, gradient in enumerate(projected):
        for j in torch.randperm(len(gradients)).tolist():
            overlap = gradient @ gradients[j]
            if j != i and overlap < 0:
                gradient -= overlap / squares[j] * gradients[j]
    return projected.sum(dim=0)


def equal_norms(gradients: Tensor) -> Tensor:
    """The sum after every gradient is scaled to their mean length: (T, P) -> (P,).

    It is where GradNorm with alpha = 0 comes to rest; a gradient of zeros stays zeros.
    """
    norms = _checked(gradients).norm(dim=1)
    return norms.mean() * F.normalize(gradients, dim=1).sum(dim=0)


def _checked(gradients: Tensor) -> Tensor:
    checks.shaped(gradients=(gradients, "T P"))
    checks.floating(gradients=gradients)
    return gradients


class CombinedGradients(nn.Module):
    """The sum of the losses, whose gradient on `shared` is what `combine` makes of the tasks' own.

    The heads get the gradient of the plain sum. The value is the plain sum too: the difference of
    the two gradients is added as a term whose value is zero and whose gradient it is.

    Args:
        shared: the parameters that the tasks share, such as `MultiTask.shared`.
        combine: from the tasks' gradients (T, P) to one (P,), such as `pcgrad`.
    """

    def __init__(self, shared: Iterable[nn.Parameter], combine: Combine) -> None:
        super().__init__()
        self.shared = checks.listed(Tensor, shared=shared)  # a list, for the model owns them
        checks.same_length(shared=self.shared)  # without any the tasks' gradients never meet
        checks.instance(Callable, combine=combine)
        self.combine = combine

    def forward(self, output: NamedTuple, batch: dict[str, Tensor]) -> Tensor:
        """A scalar. Raises as `task_losses` and `task_gradients`."""
        losses = task_losses(output, batch)
        if not torch.is_grad_enabled():
            return losses.sum()
        gradients = task_gradients(losses, self.shared)
        combined = self.combine(gradients)
        checks.shaped(**{"combine(gradients)": (combined, str(gradients.shape[1]))})
        difference = combined - gradients.sum(dim=0)
        flat = torch.cat([parameter.flatten() for parameter in self.shared])
        return losses.sum() + _gradient_only(difference @ flat)


def _gradient_only(x: Tensor) -> Tensor:
    """Zero, with the gradient of `x`."""
    return x - x.detach()


class GradNorm(nn.Module):
    """Weights learned so that the tasks pull equally hard (Chen et al. 2018, algorithm 1).

    The weights w_k sum to T. With G_k = w_k |grad L_k| on `shared`, they are moved to bring G_k to
    the mean G times r_k ** alpha, r_k being how far task k lags behind (its loss as a share of its
    first loss, over the mean of these shares). Here w is T times a softmax, which keeps the sum
    without renormalising, and the distance is divided by the targets' sum, so that it has no unit.

    Args:
        tasks: their number T.
        shared: the paper takes the last shared layer; all of `MultiTask.shared` will do.
        alpha: 0 wants equal norms; larger pulls harder for tasks that lag behind.
        speed: as in `UncertaintyWeighting`.
    """

    def __init__(
        self, tasks: int, shared: Iterable[nn.Parameter], alpha: float = 0.0, speed: float = 1.0
    ) -> None:
        super().__init__()
        checks.at_least(1, tasks=tasks)
        checks.within("[0, inf)", alpha=alpha)
        checks.within("(0, inf)", speed=speed)
        self.shared = checks.listed(Tensor, shared=shared)
        checks.same_length(shared=self.shared)
        self.alpha, self.speed = alpha, speed
        self.parameter = nn.Parameter(torch.zeros(tasks))
        self.register_buffer("first", torch.full((tasks,), torch.nan))

    @property
    def weights(self) -> Tensor:
        """w (T,), positive, sum T."""
        return len(self.parameter) * (self.speed * self.parameter).softmax(dim=0)

    def forward(self, output: NamedTuple, batch: dict[str, Tensor]) -> Tensor:
        """A scalar, the weighted sum. Raises as `task_losses` and `task_gradients`."""
        losses, weights = task_losses(output, batch), self.weights
        checks.shaped(tasks=(losses, str(len(weights))))
        total = weights.detach().to(losses) @ losses
        if not torch.is_grad_enabled():
            return total
        tiny = torch.finfo(losses.dtype).tiny
        if self.first.isnan().any():
            self.first.copy_(losses.detach().clamp(min=tiny))  # a loss may begin at 0
        norms = weights * task_gradients(losses, self.shared).norm(dim=1)  # G
        share = losses.detach() / self.first
        target = norms.detach().mean() * (share / share.mean().clamp(min=tiny)) ** self.alpha
        distance = (norms - target).abs().sum() / target.sum().clamp(min=tiny)
        return total + _gradient_only(distance)
