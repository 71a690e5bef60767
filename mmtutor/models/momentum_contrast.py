"""Momentum contrast: tell a picture's other view from thousands of older pictures.

Knows a query encoder, a key encoder that follows it slowly, and a queue of keys (He et al. 2020).
Does not know losses, nor how views are made.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmtutor import checks
from mmtutor.data.batch import require
from mmtutor.encoders.base import encode
from mmtutor.models.dual_encoder import ProjectionHead, l2_normalize


class MomentumOutput(NamedTuple):
    """`logits` (B, 1 + K): a query with its own key, in the first column, and with the queue's."""

    logits: Tensor


class MomentumContrast(nn.Module):
    """Two encoders of the same shape, of which only one is trained, and a queue of old keys.

    He et al. (2020), algorithm 1, with the two-layer head of its second version. In training each
    call lets the key encoder follow, and then puts its keys into the queue, from which the oldest
    fall out; in evaluation mode nothing changes.

    Args:
        encoder: of pictures; it reads the queries, and is what is kept after pre-training.
        views: makes another random view of pictures (B, 3, H, W) each time it is called.
        dim: size of a query and of a key.
        queue: K, how many keys are remembered; 0 leaves the pair alone.
        momentum: share m of itself that the key encoder keeps at each step, in [0, 1].
        temperature: what inner products are divided by.
    """

    def __init__(
        self,
        encoder: nn.Module,
        views: Callable[[Tensor], Tensor],
        dim: int = 64,
        queue: int = 2_048,
        momentum: float = 0.99,
        temperature: float = 0.2,
    ) -> None:
        super().__init__()
        checks.instance(nn.Module, encoder=encoder)
        checks.instance(Callable, views=views)
        checks.at_least(0, queue=queue)
        checks.within("[0, 1]", momentum=momentum)
        checks.within("(0, inf)", temperature=temperature)
        self.views, self.momentum, self.temperature = views, momentum, temperature
        self.encoder, self.head = encoder, ProjectionHead(encoder.dim, dim, encoder.dim)
        self.slow_encoder = deepcopy(self.encoder).requires_grad_(False)
        self.slow_head = deepcopy(self.head).requires_grad_(False)
        self.register_buffer("queue", F.normalize(torch.randn(queue, dim), dim=1))  # [K, D]

    def forward(self, batch: dict[str, Tensor]) -> MomentumOutput:
        """A batch with `image` (B, 3, H, W) in [0, 1] -> logits (B, 1 + K). KeyError without it."""
        require(batch, "image")
        query = self.query({"image": self.views(batch["image"])})  # [B, D]
        with torch.no_grad():
            if self.training:
                self._follow()
            seen = encode(self.slow_encoder, {"image": self.views(batch["image"])})
            key = l2_normalize(self.slow_head(seen.pooled()))  # [B, D]
        own = (query * key).sum(dim=1, keepdim=True)  # [B, 1]
        others = query @ self.queue.T  # [B, K]
        if self.training:
            self._remember(key)
        return MomentumOutput(torch.cat([own, others], dim=1) / self.temperature)

    def query(self, batch: dict[str, Tensor]) -> Tensor:
        """Unit vectors (B, D) of pictures as they are."""
        return l2_normalize(self.head(encode(self.encoder, batch).pooled()))

    @torch.no_grad()
    def _follow(self) -> None:
        """Each weight of the key encoder becomes m times itself + (1 - m) times the query's."""
        pairs = (self.slow_encoder, self.encoder), (self.slow_head, self.head)
        for slow, quick in pairs:
            for kept, new in zip(slow.parameters(), quick.parameters(), strict=True):
                kept.lerp_(new, 1 - self.momentum)

    @torch.no_grad()
    def _remember(self, key: Tensor) -> None:
        """The newest keys stand first. A new tensor, for the gradient still needs the old one."""
        self.queue = torch.cat([key, self.queue])[: len(self.queue)]
