"""Two linear tasks that share a code of one number, small enough to be solved on paper.

Knows inputs x with covariance I, two targets a.x and b.x at an angle, and the best code w.x for
them. Pictures and networks are `joint_learning`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mmtutor.data import Dataset, loader
from mmtutor.encoders import FeatureEncoder
from mmtutor.losses.multitask import WeightedSum
from mmtutor.models.multitask import MultiTask
from mmtutor.recipes import common
from mmtutor.recipes.joint.tasks import predict_tasks

TASKS = ("A", "B")


def _directions(degrees: float) -> Tensor:
    """The unit vectors a and b at an angle: (2, 2), a row for each task."""
    angle = math.radians(degrees)
    return torch.tensor([[1.0, 0.0], [math.cos(angle), math.sin(angle)]])


def linear_tasks(degrees: float, units: Sequence[float] = (1, 1), n: int = 16) -> Dataset:
    """N examples whose sample covariance is exactly I, with targets A and B (N, 1) in `units`."""
    x = torch.randn(n, 2, generator=torch.Generator().manual_seed(0))
    x = torch.linalg.qr(x - x.mean(dim=0)).Q * n**0.5  # [N, 2]
    targets = x @ _directions(degrees).T * torch.tensor(units, dtype=torch.float32)
    columns = {task: targets[:, [k]] for k, task in enumerate(TASKS)}
    return Dataset({"image_features": x, **columns})


def explained(code: Tensor, degrees: float) -> Tensor:
    """Share of each target's variance that code directions w (..., 2) explain: (..., 2) in [0, 1].

    It is the squared cosine of w with a and with b, for the best head.
    """
    return nn.functional.normalize(code, dim=-1).matmul(_directions(degrees).T).square()


def best_code(weights: Tensor, degrees: float) -> Tensor:
    """The w that minimises the weighted sum of squared errors: weights (..., 2) -> (..., 2).

    It is the first eigenvector of the sum of weight_k d_k d_k' (Eckart and Young 1936).
    """
    d = _directions(degrees).to(weights.dtype)
    matrix = torch.einsum("...k,ki,kj->...ij", weights, d, d)
    return torch.linalg.eigh(matrix).eigenvectors[..., -1]


def untrained() -> MultiTask:
    """A linear code of one number and two linear heads."""
    torch.manual_seed(1)
    heads = {task: nn.Linear(1, 1, bias=False) for task in TASKS}
    return MultiTask(FeatureEncoder(2), heads, nn.Linear(2, 1, bias=False))


def train(
    data: Dataset, objective: nn.Module | None = None, model: MultiTask | None = None
) -> MultiTask:
    """120 steps on all of `data` at once."""
    model = model or untrained()
    config = common.TrainConfig(epochs=120, lr=0.1, weight_decay=0.0)
    batches = loader(data, len(data))
    common.train(config, model, objective or WeightedSum(), batches, clip_norm=None)
    return model


def score(model: MultiTask, data: Dataset) -> list[float]:
    """Share of each target's variance that the model explains: 1 is perfect, in any units."""
    found = predict_tasks(model, data).values()
    lost = [(x.logits - x.label).square().mean() / x.label.square().mean() for x in found]
    return [1 - share.item() for share in lost]


def transfer(degrees: Sequence[float], trials: int = 2_000) -> Tensor:
    """Error of one shared code less that of separate fits, for task A: (angles, trials).

    Below zero sharing helps. Each trial draws 20 examples of 5 inputs with covariance I and noise
    of deviation 1, so a separate least-squares fit is the truth plus 1 / sqrt(20) of noise on each
    coefficient, and the best fit with a shared code of one number is the nearest matrix of rank 1.
    """
    generator = torch.Generator().manual_seed(0)
    errors = []
    for angle in degrees:
        truth = nn.functional.pad(_directions(angle), (0, 3))  # [2, 5]
        separate = truth + torch.randn(trials, 2, 5, generator=generator) / 20**0.5
        u, s, v = torch.linalg.svd(separate, full_matrices=False)
        joint = u[:, :, :1] * s[:, None, :1] @ v[:, :1]  # [trials, 2, 5], rank 1
        error = [(fitted - truth)[:, 0].square().sum(dim=1) for fitted in (joint, separate)]
        errors.append(error[0] - error[1])
    return torch.stack(errors)
