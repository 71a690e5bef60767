"""A training step of our LoRA against `peft`'s: the same Transformer, A, B, batch and optimiser."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmarks.harness import Comparison, trains
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

    def loss_of(model: nn.Module) -> Tensor:
        return (model(tokens, mask).tokens - 1).square().mean()

    return [
        Comparison(
            what=f"{steps} steps of LoRA, rank {rank}, Transformer of width {dim}, depth {depth}",
            peer="peft LoraConfig",
            ours=trains(ours, lambda: loss_of(ours), steps, 1e-3),
            theirs=trains(theirs, lambda: loss_of(theirs), steps, 1e-3),
            same=_same,
            at_most=1.0,
            rounds=15,
        )
    ]


def _same(ours: list[float], theirs: list[float]) -> None:
    torch.testing.assert_close(torch.tensor(ours), torch.tensor(theirs), rtol=1e-3, atol=1e-4)
    assert ours[-1] < ours[0]
