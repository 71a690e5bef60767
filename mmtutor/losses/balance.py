"""Objectives that keep one modality from starving another.

Knows the scores of a model's branches; knows nothing of encoders or of what the modalities are.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mmtutor import checks
from mmtutor.losses.classification import class_loss, cross_entropy, same_shape


class BranchLosses(nn.Module):
    """Cross-entropy of the joint scores, and of every branch's scores by themselves.

    A branch that must answer alone cannot lean on another (Wang, Tran and Feiszli 2020, section 3,
    where the weights of the branches are chosen by how they overfit).

    Args:
        weight: of each branch's own loss; the joint loss has weight 1.
    """

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        checks.within("[0, inf)", weight=weight)
        self.weight = weight

    def forward(self, output: NamedTuple, batch: dict[str, Tensor]) -> Tensor:
        """A scalar; `output` of `Branches`, `batch["label"]` (B,) int64."""
        joint = cross_entropy(output, batch)
        _check_branches(output)
        own = [class_loss(x, batch["label"]) for x in output.branches.values()]
        return joint + self.weight * torch.stack(own).sum()


class GradientModulation(nn.Module):
    """Cross-entropy that holds back the encoder which is ahead (Peng et al. 2022, section 3).

    A branch's confidence is the probability that its scores give to the true class, summed over the
    batch; its ratio rho is that over the mean of the other branches. An encoder with rho > 1 gets
    its gradient times 1 - tanh(alpha * rho). The paper's
    added noise is left out, and its half of the bias in each branch's scores.

    Args:
        alpha: how hard; 0 changes nothing.
    """

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        checks.within("[0, inf)", alpha=alpha)
        self.alpha = alpha

    def forward(self, output: NamedTuple, batch: dict[str, Tensor]) -> Tensor:
        """A scalar; `output` of `Branches`, `batch["label"]` (B,) int64."""
        loss = cross_entropy(output, batch)
        _check_branches(output)
        factors = _modulation(output.branches, batch["label"], self.alpha)
        for code, factor in zip(output.codes.values(), factors, strict=True):
            if code.requires_grad:
                code.register_hook(lambda gradient, factor=factor: gradient * factor)
        return loss


def _check_branches(output: NamedTuple) -> None:
    named = {f"branches[{name!r}]": x for name, x in output.branches.items()}
    same_shape(logits=output.logits, **named)
    checks.floating(**named)


def _modulation(branches: Mapping[str, Tensor], label: Tensor, alpha: float) -> Tensor:
    """Factor in (0, 1] on each encoder's gradient: scores (B, C) by modality -> (M,).

    Raises ValueError for fewer than two modalities.
    """
    if len(branches) < 2:
        raise ValueError(f"branches must be of two modalities or more, got {', '.join(branches)}")
    with torch.no_grad():
        scores = torch.stack([x.float() for x in branches.values()])  # [M, B, C]
        sure = scores.softmax(dim=2)[:, torch.arange(len(label)), label].sum(dim=1)  # [M]
        ratio = sure * (len(sure) - 1) / (sure.sum() - sure).clamp(min=1e-12)
        return torch.where(ratio <= 1, 1.0, 1 - (alpha * ratio).tanh())  # NaN stays NaN


def code_gradients(loss: Tensor, codes: Mapping[str, Tensor]) -> dict[str, float]:
    """How hard a mean loss over B examples pulls at each modality's codes (B, D), by modality.

    It is the mean over the examples of the length of the gradient of their own loss: all that the
    encoder before the code hears of the task; a frozen one hears 0. The graph is kept.
    """
    shapes = {f"codes[{name!r}]": (x, f"B D{m}") for m, (name, x) in enumerate(codes.items())}
    checks.shaped(loss=(loss, ""), **shapes)
    checks.floating(loss=loss, **{name: code for name, (code, _) in shapes.items()})
    heard = {name: code for name, code in codes.items() if code.requires_grad}
    options = {"retain_graph": True, "materialize_grads": True}
    if heard and not loss.requires_grad:
        raise ValueError("loss must depend on the codes, got a constant")
    pulls = torch.autograd.grad(loss, list(heard.values()), **options) if heard else ()
    lengths = [pull.norm(dim=1).sum().item() for pull in pulls]
    return dict.fromkeys(codes, 0.0) | dict(zip(heard, lengths, strict=True))
