"""Muon: steps of matrices that leave no direction behind, beside AdamW for what is no matrix.

Knows which weights are which, and how two optimisers step as one. Muon itself is torch's.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from mmtutor import checks


def make_muon(module: nn.Module, lr: float, weight_decay: float) -> torch.optim.Optimizer:
    """Muon (Jordan et al. 2024) for the matrices that map vectors to vectors, AdamW for all else.

    Muon makes the step of a matrix orthogonal, so that no direction is left behind, and as long as
    one of AdamW (Liu et al. 2025): both share a learning rate. Tables of embeddings are others.

    Raises ValueError where it has nothing for one of the two.
    """
    checks.instance(nn.Module, module=module)
    checks.within("(0, inf)", lr=lr)
    checks.within("[0, inf)", weight_decay=weight_decay)
    linear = [part.weight for part in module.modules() if isinstance(part, nn.Linear)]
    matrices = {weight: None for weight in linear if weight.requires_grad}
    others = [p for p in module.parameters() if p.requires_grad and p not in matrices]
    if not matrices or not others:
        raise ValueError("module must have linear layers and other parameters to train with Muon")
    muon = torch.optim.Muon(
        matrices, lr=lr, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw"
    )
    return _Together(muon, torch.optim.AdamW(others, lr=lr, weight_decay=0.0))


class _Together(torch.optim.Optimizer):
    """Several optimisers that step as one, each with the parameters that it was made for."""

    def __init__(self, *parts: torch.optim.Optimizer) -> None:
        self.parts = parts
        super().__init__([group for part in parts for group in part.param_groups], {})
        self._share()

    def step(self, closure: None = None) -> None:
        """One step of each."""
        for part in self.parts:
            part.step()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on as the optimiser whose state this is."""
        super().load_state_dict(state_dict)
        self._share()

    def _share(self) -> None:
        """Each part works on its groups and its state here, where both are changed and saved."""
        groups = iter(self.param_groups)
        for part in self.parts:
            part.state, part.param_groups = self.state, [next(groups) for _ in part.param_groups]
