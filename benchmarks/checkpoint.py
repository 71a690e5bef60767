"""One checkpoint against a minute of the training that it saves: the same model and optimiser."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import torch
from torch import Tensor, nn

from benchmarks.harness import Comparison
from mmtutor.data import Dataset, loader
from mmtutor.encoders import SmallTransformer
from mmtutor.training import fit
from mmtutor.training.step_folders import Checkpoints, damage

MINUTE = 60.0


class _Mean(nn.Module):
    """A Transformer and the mean of its tokens."""

    def __init__(self, dim: int, depth: int) -> None:
        super().__init__()
        self.encoder = SmallTransformer(1_000, dim, depth, 4)

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        return self.encoder(batch["tokens"], batch["tokens_mask"]).pooled()


def comparisons(dim: int = 256, depth: int = 8, batch: int = 16, seconds: float = 3.0):
    """One row: a call of `fit` that takes a step and saves, and a share of a minute of steps."""
    torch.manual_seed(0)
    model = _Mean(dim, depth)
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(1, 1_000, (batch, 32), generator=generator)
    batches = loader(Dataset({"tokens": list(tokens)}), batch)

    def train(checkpoint: Checkpoints | None = None) -> None:
        options = {"epochs": 1, "precision": "fp32", "progress": False, "checkpoint": checkpoint}
        fit(model, lambda output, _: (output - 1).square().mean(), batches, **options)

    def saves() -> str | None:
        """What is wrong with what was saved."""
        with TemporaryDirectory() as folder:
            train(Checkpoints(Path(folder)))
            return damage(Path(folder) / "step-1")

    def trains() -> int:
        until, steps = perf_counter() + seconds, 0
        while perf_counter() < until:
            train()
            steps += 1
        return steps

    size = sum(p.numel() for p in model.parameters()) / 1e6
    return [
        Comparison(
            what=f"one step and a checkpoint of {size:.1f} M parameters and AdamW",
            peer=f"a minute of such steps ({seconds:g} s of it are run)",
            ours=saves,
            theirs=trains,
            same=_same,
            at_most=0.02,
            share=seconds / MINUTE,
        )
    ]


def _same(wrong: str | None, steps: int) -> None:
    assert wrong is None
    assert steps > 0
