"""The 3 x 3 grid of `shapes`: what stands in each cell, and what a question means by it.

Knows columns of `shapes-questions`. Knows no model.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mmtutor.data import Dataset
from mmtutor.data.shapes.questions.dataset import questions
from mmtutor.data.shapes.questions.forms import matching
from mmtutor.models.grid_detector import ATTRIBUTES

CELLS = 9


def cells(data: Dataset) -> Tensor:
    """(N, 9, 3) int64: shape, colour and size in each cell, counted from 1; 0: nothing there."""
    position = data.column("position")  # [N, K]
    found = torch.zeros(len(position), CELLS + 1, len(ATTRIBUTES), dtype=torch.int64)
    place = torch.where(position < 0, CELLS, position)  # the absent go into a tenth cell
    for kind, name in enumerate(ATTRIBUTES):
        found[:, :, kind].scatter_(1, place, data.column(name) + 1)
    return found[:, :-1]


def attention_target(split: str, n: int, seed: int, types: tuple[str, ...], prior: str) -> Tensor:
    """(N, 2, 9) float: which cells hold what the question's first and second description mean.

    The questions are those that `load("shapes-questions", …)` draws with the same arguments.
    """
    asked, scene = questions(split, n, seed, types=types, prior=prior)
    match = torch.from_numpy(matching(asked, scene)).float()  # [N, 2, K]
    position = torch.from_numpy(scene.position)
    place = torch.where(position < 0, CELLS, position)[:, None].expand_as(match)
    return torch.zeros(n, 2, CELLS + 1).scatter_(2, place, match)[..., :-1]
