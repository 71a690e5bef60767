"""What attention layers looked at.

Knows the attention of `mmtutor`'s Transformers and of cross-attention fusions. A weight says how
much of a value was taken, not what the value was, nor what later layers made of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mmtutor import checks
from mmtutor.data.batch import Batch
from mmtutor.encoders.transformer import MultiHeadAttention
from mmtutor.fusion.attention import MultiHeadCrossAttention
from mmtutor.models.modes import evaluating

LAYERS = (MultiHeadAttention, MultiHeadCrossAttention)


class _AttentionWeights(NamedTuple):
    """One call of an attention layer: its name in the model, and its weights (B, heads, L, S).

    Row = who looks, column = at whom; a row sums to 1, or to 0 where there is nothing to look at.
    """

    name: str
    weights: Tensor


def attention_weights(
    model: nn.Module, batch: Batch, within: nn.Module | None = None
) -> list[_AttentionWeights]:
    """The weights of every attention layer, in the order in which they are computed.

    Args:
        within: only the layers of this part of the model, such as its text encoder.

    Raises:
        TypeError, ValueError: no model or batch, or no attention layer was called.
    """
    checks.instance(nn.Module, model=model, within=model if within is None else within)
    checks.instance(Mapping, batch=batch)
    inside = set((model if within is None else within).modules())
    found: list[_AttentionWeights] = []

    def keep(name: str):
        def hook(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            found.append(_AttentionWeights(name, module.weights(*inputs)))

        return hook

    handles = [
        part.register_forward_pre_hook(keep(name))
        for name, part in model.named_modules()
        if isinstance(part, LAYERS) and part in inside
    ]
    try:
        with evaluating(model), torch.no_grad():
            model(batch)
    finally:
        for handle in handles:
            handle.remove()
    if not found:
        raise ValueError("the model called no attention layer: there are no weights to show")
    return found
