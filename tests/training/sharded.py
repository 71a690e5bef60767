"""Run by torchrun in the test of several processes: contrastive runs that are sharded, one of them
interrupted. The same runs in one process, on the whole batches, are what they must equal."""

import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn

from mmtutor.data import Dataset, loader
from mmtutor.encoders import Encoded
from mmtutor.encoders.base import real
from mmtutor.losses import ContrastiveObjective
from mmtutor.models import DualEncoder, DualEncoderOutput
from mmtutor.training import InChunks, fit
from mmtutor.training.checkpoint import write_tensors
from mmtutor.training.processes.sharding import is_divided, shard
from mmtutor.training.run import ModelAndObjective
from mmtutor.training.step_folders import Checkpoints

# What is divided can be sent forward again by torch 2.15, but not by 2.10; between was not tried.
WAYS = ("whole", "chunks") if torch.__version__ >= "2.15" else ("whole",)


class PulledError(Exception):
    """Stands for a pulled plug."""


class Tower(nn.Module):
    """Blocks in a list, rows that do not divide by two, and a number on its own."""

    dim = 5

    def __init__(self, modality: str) -> None:
        super().__init__()
        self.modality = modality
        self.first, self.share = nn.Linear(3, 5), nn.Parameter(torch.tensor(0.5))
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(5, 5), nn.Tanh()) for _ in range(2))

    def forward(self, x, mask=None):
        x = self.first(x)
        for block in self.blocks:
            x = x + self.share * block(x)
        return Encoded(x[:, None], real(x[:, None]))


class Objective(ContrastiveObjective):
    """With a vector to learn, besides the temperature; fails in the call `pulled_at`."""

    def __init__(self, pulled_at=None) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.ones(4))
        self.calls, self.pulled_at = 0, pulled_at

    def forward(self, output, batch):
        self.calls += 1
        if self.calls == self.pulled_at:
            raise PulledError
        return super().forward(DualEncoderOutput(output.image * self.weights, output.text), batch)


def build(way: str, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    model = DualEncoder(Tower("a"), Tower("b"), nn.Linear(5, 4), nn.Linear(5, 4))
    return InChunks(model, 2) if way == "chunks" else model


def train(way, batch_size, folder=None, pulled_at=None, **options):
    """Six steps of AdamW, of up to two batches each; all that was learned, and all losses."""
    draw = torch.Generator().manual_seed(0)
    data = Dataset({key: torch.randn(24, 3, generator=draw) for key in "ab"})
    model, objective = build(way), Objective(pulled_at)
    seen = []

    def validate(model):
        pair = model(next(iter(loader(data, 8))))
        seen.append((pair.image * pair.text).sum().item())
        return {"agreement": seen[-1]}

    saved = folder and Checkpoints(folder, every=1, keep=99, say=lambda what: None)
    options = {"clip_norm": 0.3, "accumulate": 2, "lr": 1e-2, "validate": validate, **options}
    batches = loader(data, batch_size)
    history = fit(model, objective, batches, epochs=3, checkpoint=saved, progress=False, **options)
    agreement = [epoch["agreement"] for epoch in history.epochs]
    both = nn.ModuleDict({"model": model, "objective": objective}).state_dict()
    return both | {"loss": torch.tensor(history.loss), "agreement": torch.tensor(agreement)}


def share_held() -> float:
    """Of the model's numbers, when processes begin with different weights; all get the first's."""
    both = ModelAndObjective(build("whole", seed=dist.get_rank()), Objective())
    shard(both, torch.device("cpu"))
    expected = build("whole", seed=0).state_dict()
    for name, x in both.model.state_dict().items():
        assert torch.equal(x.full_tensor() if is_divided(x) else x, expected[name]), name
    parameters = list(both.model.parameters())
    local = sum((p.to_local() if is_divided(p) else p).numel() for p in parameters)
    return local / sum(p.numel() for p in parameters)


def refusals() -> None:
    model, objective = build("whole"), Objective()
    own = lambda output, batch: model.image_head(output.image).sum()  # noqa: E731
    batches = loader(Dataset({key: torch.randn(8, 3) for key in "ab"}), 4)
    sgd = torch.optim.SGD([*model.parameters(), *objective.parameters()])
    with pytest.raises(ValueError, match="optimizer must be None where weights are sharded"):
        fit(model, objective, batches, epochs=1, sharded=True, optimizer=sgd)
    with pytest.raises(ValueError, match="objective must not hold weights of the model"):
        fit(model, own, batches, epochs=1, sharded=True)


def main(folder: Path) -> None:
    found = {}
    for way in WAYS:
        result = train(way, 4, folder / way, sharded=True)
        found |= {f"{way} {name}": x for name, x in result.items()}
    with pytest.raises(PulledError):  # in the second epoch, between two batches of a step
        train("whole", 4, folder / "pulled", pulled_at=6, sharded=True)
    resumed = train("whole", 4, folder / "pulled", sharded=True)
    for name, x in resumed.items():
        assert torch.equal(x, found[f"whole {name}"]), name
    refusals()
    found["share held"] = torch.tensor(share_held())
    if dist.get_rank() == 0:
        write_tensors(folder / "result", found)
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
