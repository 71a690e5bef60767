"""Contrastive training against `open_clip`: its losses; and in chunks, against one piece."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from benchmarks.harness import Comparison
from mmtutor.encoders import SmallTransformer, VisionTransformer
from mmtutor.evaluation.efficiency import peak_bytes
from mmtutor.losses import (
    ChunkedContrastive,
    ContrastiveObjective,
    chunked_info_nce,
    chunked_sigmoid_contrastive,
)
from mmtutor.models import DualEncoder, ProjectionHead
from mmtutor.training import InChunks

SIDE, LENGTH, WORDS = 32, 16, 1_000


def comparisons(
    batch: int = 2_048, width: int = 64, dim: int = 512, pairs: int = 16_384, wide: int = 256
):
    """Two rows of losses and one of cached representations, on the CPU in float32.

    The memory is that of the loss and its gradients alone, for `pairs` pairs in `dim` dimensions.
    """
    from open_clip.loss import ClipLoss, SigLipLoss

    model, data = _towers(width, dim), _batch(batch)

    def against(kind: str, ours: Callable, peer: nn.Module, peak_at_most: float) -> Comparison:
        return Comparison(
            what=f"forward and backward with {kind}, batch {batch}; memory: its loss, {pairs:,}",
            peer=f"open_clip {type(peer).__name__}",
            ours=partial(_gradients, model, ChunkedContrastive(kind), data),
            theirs=partial(_gradients, model, _Peer(kind, peer), data),
            same=_same,
            at_most=1.0,
            peaks=(_peak(ours, kind, pairs, dim), _peak(peer, kind, pairs, dim)),
            peak_at_most=peak_at_most,
        )

    return [
        against("info_nce", chunked_info_nce, ClipLoss(), 0.06),
        against("sigmoid", chunked_sigmoid_contrastive, SigLipLoss(), 0.045),
        _cached(wide, max(batch // 8, 2)),
    ]


def _cached(width: int, batch: int) -> Comparison:
    """Four chunks, three of them twice forward: 5/4 of the time, if backward is twice forward."""
    model, data, objective = _towers(width, width), _batch(batch), ContrastiveObjective()
    chunk = -(-batch // 4)
    return Comparison(
        what=f"forward and backward, two Transformers of width {width}, batch {batch} by {chunk}",
        peer="the batch in one piece",
        ours=partial(_gradients, InChunks(model, chunk), objective, data),
        theirs=partial(_gradients, model, objective, data),
        same=_same,
        at_most=1.35,
    )


def _towers(width: int, dim: int) -> DualEncoder:
    torch.manual_seed(0)
    image, text = VisionTransformer(width, SIDE, 8), SmallTransformer(WORDS, width, 2, 4)
    return DualEncoder(image, text, ProjectionHead(width, dim), ProjectionHead(width, dim))


def _batch(size: int) -> dict[str, Tensor]:
    tokens = torch.randint(1, WORDS, (size, LENGTH))
    data = {"tokens": tokens, "tokens_mask": torch.ones_like(tokens, dtype=torch.bool)}
    return data | {"image": torch.rand(size, 3, SIDE, SIDE)}


class _Peer(ContrastiveObjective):
    """A loss of `open_clip` with our parameters."""

    def __init__(self, kind: str, loss: nn.Module) -> None:
        super().__init__(kind)
        self.loss = loss

    def forward(self, output: tuple[Tensor, Tensor], batch: dict[str, Tensor]) -> Tensor:
        bias = () if self.bias is None else (self.bias,)
        return self.loss(output.image, output.text, self.logit_scale, *bias)


def _gradients(model: nn.Module, objective: nn.Module, batch: dict[str, Tensor]) -> list[Tensor]:
    """The loss and all its gradients."""
    loss = objective(model(batch), batch)
    learned = [*model.parameters(), *objective.parameters()]
    return [loss.detach(), *torch.autograd.grad(loss, learned)]


def _peak(loss: Callable, kind: str, pairs: int, dim: int) -> int:
    """Bytes that a loss and its gradients hold at most; tensors without data have sizes too."""
    with FakeTensorMode():
        scalars = [torch.ones((), requires_grad=True) for _ in range(2 if kind == "sigmoid" else 1)]
        learned = [*(torch.ones(pairs, dim, requires_grad=True) for _ in "ab"), *scalars]
        return peak_bytes(lambda: torch.autograd.grad(loss(*learned), learned), torch.device("cpu"))


def _same(ours: list[Tensor], theirs: list[Tensor]) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
