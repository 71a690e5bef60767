"""A training step of our LoRA against `peft`'s: the same Transformer, A, B, batch and optimiser."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from benchmarks.harness import Comparison
from mmtutor.encoders import SmallTransformer
from mmtutor.training.adapters import add_lora

TARGETS = ["qkv", "out"]


def comparisons(
    dim: int = 256, depth: int = 4, batch: int = 16, length: int = 64, rank: int = 8, steps: int = 5
):
    """One row: steps of training on the CPU in float32."""
    import peft

    def encoder() -> nn.Module:
        torch.manual_seed(0)
        return SmallTransformer(1_000, dim, depth, 4)

    ours, base = encoder(), encoder()
    names = add_lora(ours, rank, 2 * rank, TARGETS)
    config = peft.LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=TARGETS)
    theirs = peft.get_peft_model(base, config)
    with torch.no_grad():
        for name in names:
            theirs_layer = theirs.base_model.model.get_submodule(name)
            theirs_layer.lora_A["default"].weight.copy_(ours.get_submodule(name).A)
    tokens = torch.randint(1, 1_000, (batch, length), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(tokens, dtype=torch.bool)

    return [
        Comparison(
            what=f"{steps} steps of LoRA, rank {rank}, Transformer of width {dim}, depth {depth}",
            peer="peft LoraConfig",
            ours=_trains(ours, tokens, mask, steps),
            theirs=_trains(theirs, tokens, mask, steps),
            same=_same,
            at_most=1.0,
            rounds=15,
        )
    ]


def _trains(model: nn.Module, tokens: Tensor, mask: Tensor, steps: int) -> Callable[[], list]:
    """Takes some steps, from where the last call left; returns their losses."""
    learned = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(learned, lr=1e-3, fused=True)

    def train() -> list[float]:
        losses = []
        for _ in range(steps):
            loss = (model(tokens, mask).tokens - 1).square().mean()
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.item())
        return losses

    return train


def _same(ours: list[float], theirs: list[float]) -> None:
    torch.testing.assert_close(torch.tensor(ours), torch.tensor(theirs), rtol=1e-3, atol=1e-4)
    assert ours[-1] < ours[0]
