"""Optimisers written from their equations, and the choices around every optimiser.

Knows what one step does to one parameter, which weights decay, and the learning rate and precision
of a step; knows nothing of data, losses or checkpoints. `SGD`, `Adam` and `AdamW` are `torch.optim`
optimisers, so `train` and `fit` take them; for real runs `torch.optim` has faster ones.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from mmtutor import checks
from mmtutor.training.arguments import check_loss
from mmtutor.training.processes.sharding import by_kind

SCHEDULES = ("cosine", "constant")
PRECISIONS = {"fp32": "no", "fp16": "fp16", "bf16": "bf16"}

State = dict[str, Any]
Loss = Callable[[Tensor], Tensor]


def _momentum_direction(gradient: Tensor, state: State, momentum: float) -> Tensor:
    """v <- momentum * v + g, and v is the direction (Polyak 1964; v starts as the first g)."""
    if not momentum:
        return gradient
    old = state.get("momentum_buffer")
    state["momentum_buffer"] = gradient.clone() if old is None else momentum * old + gradient
    return state["momentum_buffer"]


def adam_direction(
    gradient: Tensor, state: State, betas: tuple[float, float], eps: float
) -> Tensor:
    """Running mean of g over the root of that of g^2 (Kingma and Ba 2015, alg. 1).

    Both means start at 0, so they are divided by the sum of their weights, 1 - beta^t.

    Args:
        gradient: any shape, floating point.
        state: of this parameter, empty at first: `step`, `exp_avg` and `exp_avg_sq` are kept here.
        betas: each in [0, 1).
        eps: above 0.
    """
    checks.instance(Tensor, gradient=gradient)
    checks.floating(gradient=gradient)
    _check_numbers(betas=betas, eps=eps)
    beta1, beta2 = betas
    zero = torch.zeros_like(gradient)
    t = int(state.get("step", 0)) + 1
    m = beta1 * state.get("exp_avg", zero) + (1 - beta1) * gradient
    s = beta2 * state.get("exp_avg_sq", zero) + (1 - beta2) * gradient.square()
    state.update(step=torch.tensor(float(t)), exp_avg=m, exp_avg_sq=s)
    m, s = m / (1 - beta1**t), s / (1 - beta2**t)
    return m / (s.sqrt() + eps)


def _check_numbers(**numbers: float | tuple[float, float]) -> None:
    """The numbers of an optimiser, by their names."""
    for name, value in numbers.items():
        if name == "betas":
            if len(checks.listed((int, float), betas=value)) != 2:
                raise ValueError(f"betas must be two numbers, got {value}")
            for i, beta in enumerate(value):
                checks.within("[0, 1)", **{f"betas[{i}]": beta})
        else:
            interval = {"momentum": "[0, 1)", "weight_decay": "[0, inf)"}.get(name, "(0, inf)")
            checks.within(interval, **{name: value})


class _PerParameter(torch.optim.Optimizer):
    """Calls `update` for every parameter that has a gradient."""

    def __init__(self, params: Iterable[Tensor] | Iterable[dict], **defaults: Any) -> None:
        _check_numbers(**defaults)
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:
        """Update once; `closure`, if given, computes the loss and gradients first."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self.update(parameter, parameter.grad, self.state[parameter], group)
        return loss

    def update(self, parameter: Tensor, gradient: Tensor, state: State, group: State) -> None:
        """Change `parameter` in place."""
        raise NotImplementedError


class SGD(_PerParameter):
    """theta <- theta - lr * v, v the momentum of the gradient of loss + weight_decay/2 |theta|^2.

    Args:
        params: tensors, or dicts with `params` and options of their own.
        lr: the learning rate.
        momentum: share of the last direction that is kept, in [0, 1); 0 is gradient descent.
        weight_decay: at least 0.
    """

    def __init__(
        self, params: Iterable, lr: float, momentum: float = 0.0, weight_decay: float = 0.0
    ) -> None:
        super().__init__(params, lr=lr, momentum=momentum, weight_decay=weight_decay)

    def update(self, parameter: Tensor, gradient: Tensor, state: State, group: State) -> None:
        gradient = gradient + group["weight_decay"] * parameter
        parameter -= group["lr"] * _momentum_direction(gradient, state, group["momentum"])


class Adam(_PerParameter):
    """theta <- theta - lr * adam(g + weight_decay * theta): the decay is part of the gradient.

    Args:
        params: tensors, or dicts with `params` and options of their own.
        lr: the learning rate, about the length of one coordinate's step.
        betas: shares of the past in the running means of g and g^2, each in [0, 1).
        eps: added to the root; keeps coordinates without gradient where they are.
        weight_decay: at least 0.
    """

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)

    def update(self, parameter: Tensor, gradient: Tensor, state: State, group: State) -> None:
        gradient = gradient + group["weight_decay"] * parameter
        direction = adam_direction(gradient, state, group["betas"], group["eps"])
        parameter -= group["lr"] * direction


class AdamW(Adam):
    """theta <- theta - lr * adam(g) - lr * weight_decay * theta: the decay stands beside Adam.

    Loshchilov and Hutter 2019, alg. 2. Arguments are those of `Adam`.
    """

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay)

    def update(self, parameter: Tensor, gradient: Tensor, state: State, group: State) -> None:
        parameter *= 1 - group["lr"] * group["weight_decay"]
        direction = adam_direction(gradient, state, group["betas"], group["eps"])
        parameter -= group["lr"] * direction


def descend(
    loss: Loss, start: Tensor, steps: int, make: Callable[[list[Tensor]], torch.optim.Optimizer]
) -> Tensor:
    """The path of an optimiser over a function of one point: (steps + 1, *start.shape).

    Args:
        loss: from a point to a scalar.
        start: where the path begins, floating point; it is not changed.
        steps: how many updates.
        make: makes the optimiser, such as `lambda params: SGD(params, lr=0.1)`.
    """
    checks.instance(Callable, loss=loss, make=make)
    checks.instance(Tensor, start=start)
    checks.floating(start=start)
    checks.at_least(1, steps=steps)
    point = start.detach().clone().requires_grad_()
    optimizer = make([point])
    checks.instance(torch.optim.Optimizer, **{"make(...)": optimizer})
    path = [point.detach().clone()]
    for _ in range(steps):
        (point.grad,) = torch.autograd.grad(check_loss(loss(point), "loss"), [point])
        optimizer.step()
        path.append(point.detach().clone())
    return torch.stack(path)


def mixed_precision(precision: str) -> str:
    """Accelerate's name for `precision`; "auto" asks the device.

    On a GPU "auto" is bf16 from compute capability 8.0 on and fp16 before (a T4 has no fast bf16);
    elsewhere it is full precision.

    Raises:
        ValueError: an unknown name, or fp16 without a GPU.
    """
    checks.one_of(("auto", *PRECISIONS), precision=precision)
    gpu = torch.cuda.is_available()
    if precision == "auto":
        return ("bf16" if torch.cuda.get_device_capability() >= (8, 0) else "fp16") if gpu else "no"
    if precision == "fp16" and not gpu:
        raise ValueError("precision fp16 needs a GPU; on a CPU use fp32 or bf16")
    return PRECISIONS[precision]


def make_optimizer(module: nn.Module, lr: float, weight_decay: float) -> torch.optim.Optimizer:
    """AdamW over the trainable parameters (Loshchilov and Hutter 2019).

    Only matrices and kernels decay: pulling biases, normalisation gains or a temperature towards
    zero regularises nothing.

    Raises:
        ValueError: nothing is trainable.
    """
    checks.instance(nn.Module, module=module)
    checks.within("(0, inf)", lr=lr)
    checks.within("[0, inf)", weight_decay=weight_decay)
    trainable = [p for p in module.parameters() if p.requires_grad]
    if not trainable:
        raise ValueError("module has nothing to train: no parameter requires grad")
    decays = ([p for p in trainable if p.ndim >= 2], weight_decay)
    stays = ([p for p in trainable if p.ndim < 2], 0.0)
    groups = [
        {"params": group, "weight_decay": decay}
        for parameters, decay in (decays, stays)
        for group in by_kind(parameters)
        if group
    ]
    fused = trainable[0].device.type in ("cpu", "cuda")
    return torch.optim.AdamW(groups, lr=lr, fused=fused)


def learning_rate_factor(step: int, steps: int, warmup: float, schedule: str) -> float:
    """Factor on the learning rate at optimiser step `step` of `steps`, in (0, 1].

    Rises linearly over the first `warmup` share of all steps, then stays ("constant") or falls to
    zero along half a cosine ("cosine", Loshchilov and Hutter 2017, eq. 5, without restarts).
    """
    checks.at_least(1, steps=steps)
    checks.at_least(0, step=step)
    checks.within("[0, 1]", warmup=warmup)
    checks.one_of(SCHEDULES, schedule=schedule)
    if step >= steps:
        raise ValueError(f"step must be below steps = {steps}, got {step}")
    rising = round(warmup * steps)
    if step < rising:
        return (step + 1) / rising
    if schedule == "constant":
        return 1.0
    return (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising))) / 2
