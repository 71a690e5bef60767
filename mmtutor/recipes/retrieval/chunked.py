"""Contrastive training with batches that do not fit into memory: in chunks, or plain for None.

Knows what goes together; how chunks are cut, encoded and compared is elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import nn

from mmtutor.losses import ChunkedContrastive, ContrastiveObjective
from mmtutor.training import InChunks


def in_chunks(model: nn.Module, chunk: int | None) -> nn.Module:
    """`model`, of whose activations those of `chunk` examples are held at a time."""
    return model if chunk is None else InChunks(model, chunk)


def objective_in_chunks(chunk: int | None) -> Callable[..., ContrastiveObjective]:
    """The class of `ContrastiveObjective`, of whose scores `chunk` rows are held at a time."""
    return ContrastiveObjective if chunk is None else partial(ChunkedContrastive, chunk=chunk)
