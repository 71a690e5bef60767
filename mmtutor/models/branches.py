"""Several modalities, one answer: a branch for each modality, whose scores are added.

Knows how branches are joined and which are present; knows nothing of losses or of what the
modalities are. One encoder with several answers is `multitask.py`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mmtutor import checks
from mmtutor.encoders.base import encode


class _BranchesOutput(NamedTuple):
    """Scores of C classes from M modalities.

    Attributes:
        logits: (B, C), the sum of the scores of the branches that are present, plus a bias.
        branches: each modality's own part of `logits`, (B, C), zeros where it is absent.
        codes: each modality's pooled code (B, D_m).
    """

    logits: Tensor
    branches: dict[str, Tensor]
    codes: dict[str, Tensor]


class Branches(nn.Module):
    """An encoder for each modality, concatenation, and one linear layer, written as a sum.

    A linear layer on concatenated codes is a sum of one linear layer for each code and one bias
    (Peng et al. 2022, section 3), so what each modality contributes to a score can be read off.

    Args:
        encoders: each of another `modality`; they are kept in the sorted order of their names.
        classes: number C of classes, at least 2.
        drop: modality dropout (Neverova et al. 2016): in training, each example loses one
            modality, drawn at random, with this probability.
    """

    def __init__(self, encoders: Sequence[nn.Module], classes: int, drop: float = 0.0) -> None:
        super().__init__()
        checks.at_least(2, classes=classes)
        checks.within("[0, 1]", drop=drop)
        encoders = checks.listed(nn.Module, encoders=encoders)
        ordered = sorted(encoders, key=lambda encoder: encoder.modality)
        self.encoders = nn.ModuleDict({encoder.modality: encoder for encoder in ordered})
        if not encoders or len(self.encoders) != len(encoders):
            found = [encoder.modality for encoder in ordered]
            raise ValueError(f"encoders must be some, each of another modality, got {found}")
        self.scores = nn.ModuleDict(
            {name: nn.Linear(part.dim, classes, bias=False) for name, part in self.encoders.items()}
        )
        self.bias = nn.Parameter(torch.zeros(classes))
        self.drop = drop

    def forward(self, batch: dict[str, Tensor]) -> _BranchesOutput:
        """A batch with every encoder's modality -> scores.

        `batch["present"]` (B, M) bool, if there, says which modalities to use, in sorted order.
        Raises KeyError without a modality, ValueError if `present` has another shape.
        """
        codes = {name: encode(part, batch).pooled() for name, part in self.encoders.items()}
        present = self._present(batch, next(iter(codes.values())))
        branches = {
            name: score(codes[name]) * present[:, m, None]
            for m, (name, score) in enumerate(self.scores.items())
        }
        return _BranchesOutput(sum(branches.values()) + self.bias, branches, codes)

    def _present(self, batch: dict[str, Tensor], like: Tensor) -> Tensor:
        """(B, M) ones and zeros, of the type of `like` (B, D)."""
        size = (len(like), len(self.encoders))
        present = batch.get("present", torch.ones(size, dtype=torch.bool, device=like.device))
        present = checks.as_mask(present=present)
        checks.shaped(present=(present, f"{size[0]} {size[1]}"))
        if self.training and self.drop:
            lost = torch.randint(size[1], size[:1], device=like.device)  # one for each example
            lose = torch.rand(size[0], device=like.device) < self.drop
            present = present & ~(nn.functional.one_hot(lost, size[1]).bool() & lose[:, None])
        return present.to(like.dtype)
