"""The same network with nothing learned: what an explanation must be able to tell apart.

Knows how weights are drawn anew. The comparison is `evaluation.explanations.sanity_check`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
from torch import nn

from mmtutor import checks
from mmtutor.explain.targets import seeded


def randomised(model: nn.Module, seed: int = 0, only: str = "") -> nn.Module:
    """A copy of `model` with its weights drawn anew (Adebayo et al. 2018, section 3).

    Layers are drawn as PyTorch draws them, statistics of normalisations forgotten too; parameters
    that belong to no such layer have their entries shuffled. The model itself is not touched, nor
    is the global state of random numbers.

    Args:
        only: the name of a part of the model, such as "head"; the rest then stays as it is.

    Raises TypeError for what is no model, ValueError for a part that it does not have.
    """
    checks.instance(nn.Module, model=model)
    checks.one_of(dict(model.named_modules()), only=only)
    copied = copy.deepcopy(model)
    with seeded(seed):
        for part in copied.get_submodule(only).modules():
            _redraw(part)
    return copied


def cascade(model: nn.Module, seed: int = 0) -> Iterator[tuple[str, nn.Module]]:
    """Copies with more and more layers drawn anew, from the last layer to the first.

    Adebayo et al. (2018), section 3.1. The order is that in which layers were registered,
    backwards. Gives the name of the layer that was drawn last, and the copy.
    """
    checks.instance(nn.Module, model=model)
    checks.at_least(0, seed=seed)
    copied = copy.deepcopy(model)
    names = [name for name, part in copied.named_modules() if _own(part)]
    for number, name in enumerate(reversed(names)):
        with seeded(seed + number):
            _redraw(copied.get_submodule(name))
        yield name, copy.deepcopy(copied)


def _redraw(part: nn.Module) -> None:
    """Draw the weights that `part` itself owns anew, in place; its children are left alone."""
    if not _own(part):
        return
    if hasattr(part, "reset_parameters"):
        part.reset_parameters()
        return
    with torch.no_grad():
        for parameter in part.parameters(recurse=False):
            order = torch.randperm(parameter.numel()).to(parameter.device)
            parameter.copy_(parameter.flatten()[order].view_as(parameter))


def _own(part: nn.Module) -> bool:
    """Whether `part` has learned something that belongs to no child of it."""
    counted = getattr(part, "running_mean", None) is not None
    return counted or next(part.parameters(recurse=False), None) is not None
