"""Gathering embeddings from all processes, so that each sees the negatives of every other.

Knows collective communication; knows nothing of losses or of models.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor

from mmtutor import checks


def gather_with_grad(x: Tensor, counts: Sequence[int] | None = None) -> Tensor:
    """Concatenate `x` (n, ...) of all processes in rank order: (sum of all n, ...).

    The gradient is the sum of what all processes send back for a row. So a loss whose mean over the
    processes is that of the whole batch, averaged by DistributedDataParallel, gives the gradients
    of one process holding the whole batch. Without several processes, returns `x` itself.

    Args:
        counts: the n of each process, if `row_counts` has found them already.

    Raises:
        ValueError: on every process, if more than the first axis differs between them.
    """
    checks.instance(Tensor, x=x)
    if not _several():
        return x
    return _Gather.apply(x, row_counts(x)[0] if counts is None else list(counts))


def row_counts(x: Tensor) -> tuple[list[int], int]:
    """How many rows of `x` (n, ...) each process holds, in rank order; and which one this is.

    Raises:
        ValueError: on every process, if more than the first axis differs between them.
    """
    checks.instance(Tensor, x=x)
    if not _several():
        return [len(x)], 0
    mine = torch.tensor([len(x), x.ndim, math.prod(x.shape[1:])], device=x.device)
    found = [torch.empty_like(mine) for _ in range(dist.get_world_size())]
    dist.all_gather(found, mine)
    counts, axes, sizes = torch.stack(found).T.tolist()
    if len(set(axes)) > 1 or len(set(sizes)) > 1:
        raise ValueError(f"x must have rows of one shape on all processes, got {sizes} numbers")
    return counts, dist.get_rank()


def _several() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, counts: list[int]) -> Tensor:
        ctx.counts = counts
        padded = x.new_zeros(max(counts), *x.shape[1:])  # what is gathered has one shape
        padded[: len(x)] = x
        parts = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(parts, padded)
        return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:
        grad = grad.clone(memory_format=torch.contiguous_format)  # others may hold the same tensor
        dist.all_reduce(grad)
        return grad.split(ctx.counts)[dist.get_rank()], None
