"""Run by torchrun in the test of several processes: train, and the first one saves the result."""

import sys

import torch
import torch.distributed as dist
from torch import nn

from mmtutor.data import Dataset, loader
from mmtutor.encoders import FeatureEncoder
from mmtutor.losses import ContrastiveObjective
from mmtutor.models import DualEncoder
from mmtutor.training import fit
from mmtutor.training.checkpoint import write_tensors


def train(batch_size: int) -> dict[str, torch.Tensor]:
    """Two steps of SGD on eight pairs; returns all trained weights and the losses."""
    torch.manual_seed(0)
    columns = {"a": torch.randn(8, 3), "b": torch.randn(8, 3), "group": torch.arange(8) // 2}
    towers = FeatureEncoder(3, "a"), FeatureEncoder(3, "b")
    model = DualEncoder(*towers, nn.Linear(3, 4), nn.Linear(3, 4))
    objective = ContrastiveObjective("sigmoid")
    both = nn.ModuleDict({"model": model, "objective": objective})
    sgd = torch.optim.SGD(both.parameters(), lr=0.1)
    batches = loader(Dataset(columns), batch_size)
    options = {"optimizer": sgd, "warmup": 0.0, "schedule": "constant", "progress": False}
    history = fit(model, objective, batches, epochs=2, **options)
    return {**both.state_dict(), "loss": torch.tensor(history.loss)}


if __name__ == "__main__":
    result = train(batch_size=4)  # of each of two processes: the whole batch is 8
    if dist.get_rank() == 0:
        write_tensors(f"{sys.argv[1]}/result", result)
    dist.destroy_process_group()
