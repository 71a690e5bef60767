"""Run by torchrun in the test of several processes: losses of unequal shares of one batch."""

import sys
from itertools import product

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from mmtutor.encoders import FeatureEncoder
from mmtutor.losses import ChunkedContrastive, ContrastiveObjective, gather_with_grad
from mmtutor.models import DualEncoder
from mmtutor.training import InChunks
from mmtutor.training.checkpoint import write_tensors

KINDS = ("info_nce", "sigmoid")
OBJECTIVES = (ContrastiveObjective, ChunkedContrastive)
CHUNKS = (None, 2)  # of the model


class Whole(nn.Module):
    """From a batch to the loss, so that DistributedDataParallel sees all that learns."""

    def __init__(self, objective, chunk):
        super().__init__()
        torch.manual_seed(0)
        towers = FeatureEncoder(3, "a"), FeatureEncoder(3, "b")
        model = DualEncoder(*towers, nn.Linear(3, 4), nn.Linear(3, 4))
        self.model = InChunks(model, chunk) if chunk else model
        self.objective = objective

    def forward(self, batch):
        return self.objective(self.model(batch), batch)


def results(rows, several, grouped):
    """Loss and gradients of every way on these rows of eight pairs, in float64."""
    draw = torch.Generator().manual_seed(0)
    batch = {key: torch.randn(8, 3, generator=draw).double()[rows] for key in "ab"}
    if grouped:
        batch["group"] = torch.tensor([0, 1, 2, 1, 0, 3, 4, 1])[rows]
    found = {}
    for kind, objective, chunk in product(KINDS, OBJECTIVES, CHUNKS):
        options = {"chunk": 3} if objective is ChunkedContrastive else {}
        whole = Whole(objective(kind, 5.0, **options), chunk).double()
        wrapped = DistributedDataParallel(whole) if several else whole
        loss = wrapped(batch)
        loss.backward()
        if several:  # the mean of the shares
            dist.all_reduce(loss.detach().div_(dist.get_world_size()))
        way = f"{kind} {objective.__name__} {chunk} {grouped}"
        found[f"{way} loss"] = loss.detach()
        for name, parameter in whole.named_parameters():
            found[f"{way} {name}"] = parameter.grad
    return found


if __name__ == "__main__":
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    rows = slice(0, 5) if rank == 0 else slice(5, 8)
    found = results(rows, True, False) | results(rows, True, True)
    with pytest.raises(ValueError, match="rows of one shape on all processes"):
        gather_with_grad(torch.zeros(2, 3 + rank))
    if rank == 0:
        write_tensors(f"{sys.argv[1]}/result", found)
    dist.destroy_process_group()
