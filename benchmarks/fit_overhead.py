"""`fit` against a bare PyTorch loop: the same model, batches, optimiser and clipping."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import nn

from benchmarks.harness import Comparison
from mmtutor.data import Dataset, load, loader
from mmtutor.data.tokenizer import WordTokenizer
from mmtutor.data.transforms import Tokenize
from mmtutor.encoders import SmallCNN, SmallTransformer
from mmtutor.losses import ContrastiveObjective
from mmtutor.models import DualEncoder, ProjectionHead
from mmtutor.training import fit

RATE = 1e-3
CLIP = 1.0


def comparisons(examples: int = 4_096, batch_size: int = 128, dim: int = 64, width: int = 16):
    """One row: one epoch of a small dual encoder on `shapes`, on the CPU in float32."""
    data = load("shapes", n=examples, size=32)
    tokenizer = WordTokenizer.fit(data.column("caption"))
    columns = {key: data.column(key) for key in ("image", "caption")}
    data = Dataset(columns, Tokenize(tokenizer))
    torch.manual_seed(0)
    heads = ProjectionHead(dim, dim), ProjectionHead(dim, dim)
    model = DualEncoder(SmallCNN(dim, width), SmallTransformer(tokenizer.size, dim, 2, 4), *heads)
    objective = ContrastiveObjective()

    def ours() -> list[float]:
        batches = loader(data, batch_size, shuffle=True)
        options = {"lr": RATE, "weight_decay": 0.0, "warmup": 0.0, "schedule": "constant"}
        options |= {"clip_norm": CLIP, "precision": "fp32", "progress": False, "epochs": 1}
        return fit(deepcopy(model), deepcopy(objective), batches, **options).loss

    def bare() -> list[float]:
        batches = loader(data, batch_size, shuffle=True)
        return _bare_loop(deepcopy(model), deepcopy(objective), batches)

    what = f"{-(-examples // batch_size)} steps of a dual encoder, batch {batch_size}"
    return [Comparison(what, "a bare PyTorch loop", ours, bare, _same, 1.05, True, 30)]


def _bare_loop(model: nn.Module, objective: nn.Module, batches) -> list[float]:
    """One epoch; the loss of every step."""
    parameters = [*model.parameters(), *objective.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=RATE, weight_decay=0.0, fused=True)
    losses = []
    model.train()
    for batch in batches:
        loss = objective(model(batch), batch)
        losses.append(loss.item())
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, CLIP)
        optimizer.step()
        optimizer.zero_grad()
    return losses


def _same(ours: list[float], theirs: list[float]) -> None:
    torch.testing.assert_close(torch.tensor(ours), torch.tensor(theirs), rtol=1e-3, atol=1e-4)
