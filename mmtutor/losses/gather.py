"""Gathering embeddings from all processes, so that each sees the negatives of every other.

Knows collective communication; knows nothing of losses or of models.
"""

import torch
import torch.distributed as dist
from torch import Tensor

from mmtutor import checks


def gather_with_grad(x: Tensor) -> Tensor:
    """Concatenate `x` (B, ...) of all processes in rank order: (world size * B, ...).

    Every process must bring the same shape. The gradient is the sum of what all processes send back
    for a row, so a loss computed in full on each and averaged by DistributedDataParallel gives the
    gradients of one process holding the whole batch. Without several processes, returns `x` itself.
    """
    checks.instance(Tensor, x=x)
    if not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
        return x
    return _Gather.apply(x)


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        parts = [torch.empty_like(x) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, x.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:
        grad = grad.contiguous()
        dist.all_reduce(grad)
        return grad.chunk(dist.get_world_size())[dist.get_rank()]
