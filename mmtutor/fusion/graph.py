"""Fusion by messages: modalities are the nodes of a graph, and its edges say who hears whom."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import torch
from torch import Tensor, nn

from mmtutor import checks
from mmtutor.encoders.base import Encoded
from mmtutor.fusion.base import Fusion, Projected, mean_of_present, there


class InteractionGraph(Fusion):
    """Each modality hears the mean message of its neighbours, and changes; then the mean of all.

    In a round, h_m <- h_m + relu(U [x_m, mean over neighbours n of V x_n]) with x = LayerNorm(h):
    message passing (Gilmer et al. 2017, section 2) with the mean of linear messages, the same in
    every round. This is attention whose weights are the graph's, whatever the example. Modalities
    that no path of edges joins never interact. An absent modality sends nothing.

    Args:
        edges: pairs of modalities that hear each other; None joins all.
        rounds: how often messages are sent.
    """

    def __init__(
        self,
        dims: dict[str, int],
        out_dim: int,
        edges: Sequence[tuple[str, str]] | None = None,
        rounds: int = 1,
    ) -> None:
        super().__init__(dims, out_dim)
        checks.at_least(1, rounds=rounds)
        self.rounds = rounds
        self.adjacency = _adjacency([*self.dims], edges)
        self.project = Projected(self.dims, out_dim)
        self.norm = nn.LayerNorm(out_dim)
        self.message = nn.Linear(out_dim, out_dim)
        self.update = nn.Linear(2 * out_dim, out_dim)

    def fuse(self, encoded: dict[str, Encoded]) -> Tensor:
        """(B, out_dim): the mean node after the last round."""
        nodes, present = self.project(encoded), there(encoded)  # [B, M, D], [B, M]
        weights = self.weights(present).to(nodes.dtype)
        for _ in range(self.rounds):
            x = self.norm(nodes)
            heard = weights @ self.message(x)  # [B, M, M] @ [B, M, D]
            nodes = nodes + self.update(torch.cat([x, heard], dim=-1)).relu()
        return mean_of_present(nodes, present)

    def weights(self, present: Tensor) -> Tensor:
        """(B, M, M) float32: one row a listener, its present neighbours alike, sum 1 or 0."""
        keep = torch.tensor(self.adjacency, device=present.device) & present.unsqueeze(1)
        return keep / keep.sum(dim=-1, keepdim=True).clamp(min=1)


def _adjacency(names: list[str], edges: Sequence[tuple[str, str]] | None) -> list[list[bool]]:
    """Who hears whom, symmetric; a list, for `Ensemble` takes models without buffers."""
    pairs = (
        [*combinations(names, 2)] if edges is None else checks.listed((tuple, list), edges=edges)
    )
    for pair in pairs:
        if len({*pair} & {*names}) != 2 or len(pair) != 2:
            raise ValueError(f"edges must be pairs of {', '.join(names)}, got {pair}")
    joined = {frozenset(pair) for pair in pairs}
    return [[frozenset((one, other)) in joined for other in names] for one in names]
