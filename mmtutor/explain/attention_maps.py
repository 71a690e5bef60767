"""What attention layers looked at, and what that leaves out.

Knows the attention of `mmtutor`'s Transformers and of cross-attention fusions. A weight says how
much of a value was taken, not what the value was, nor what later layers made of it.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from mmtutor.encoders.transformer import MultiHeadAttention
from mmtutor.explain.features import as_grid, enlarge
from mmtutor.explain.targets import Batch, encoder_of
from mmtutor.fusion.attention import CrossAttention, MultiHeadCrossAttention
from mmtutor.models.modes import evaluating

LAYERS = (MultiHeadAttention, MultiHeadCrossAttention)


class Looked(NamedTuple):
    """One call of an attention layer: its name in the model, and its weights (B, heads, L, S).

    Row = who looks, column = at whom; a row sums to 1, or to 0 where there is nothing to look at.
    """

    name: str
    weights: Tensor


def attention(model: nn.Module, batch: Batch, within: nn.Module | None = None) -> list[Looked]:
    """The weights of every attention layer, in the order in which they are computed.

    Args:
        within: only the layers of this part of the model, such as its text encoder.

    Raises:
        ValueError: no attention layer was called.
    """
    inside = set((model if within is None else within).modules())
    looked: list[Looked] = []

    def keep(name: str):
        def hook(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            looked.append(Looked(name, module.weights(*inputs)))

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
    if not looked:
        raise ValueError("the model called no attention layer: there are no weights to show")
    return looked


def rollout(layers: list[Tensor]) -> Tensor:
    """How much of each input token arrives at each output token (B, L, L); rows sum to 1.

    Abnar and Zuidema (2020), section 3: the mean over heads, half of it replaced by the residual
    way around, multiplied layer by layer.

    Args:
        layers: weights (B, heads, L, L), first layer first.

    Raises:
        ValueError: no layers, or some are not square.
    """
    if not layers or any(w.shape[2] != w.shape[3] for w in layers):
        shapes = [tuple(w.shape) for w in layers]
        raise ValueError(f"rollout needs self-attention (B, heads, L, L), got {shapes}")
    flow = torch.eye(layers[0].shape[-1]).to(layers[0]).expand(len(layers[0]), -1, -1)
    for weights in layers:
        mixed = (weights.mean(dim=1) + torch.eye(weights.shape[-1]).to(weights)) / 2
        flow = mixed / mixed.sum(dim=2, keepdim=True) @ flow
    return flow


def image_attention(model: nn.Module, batch: Batch) -> Tensor:
    """What the words look at in the picture, through a `CrossAttention` fusion: (B, H, W).

    The mean over heads and over the real words. Raises ValueError without such a fusion of just
    `image` and `tokens`.
    """
    fusions = [part for part in model.modules() if isinstance(part, CrossAttention)]
    if not fusions or list(fusions[0].dims) != ["image", "tokens"]:
        raise ValueError("image_attention needs a CrossAttention fusion of image and tokens")
    weights = attention(model, batch, fusions[0])[1].weights.mean(dim=1)  # [B, L, N], words look
    real = batch.get("tokens_mask", torch.ones_like(batch["tokens"])).to(weights)
    seen = (weights * real[:, :, None]).sum(dim=1) / real.sum(dim=1, keepdim=True).clamp(min=1)
    return _map(seen, batch)


def image_rollout(model: nn.Module, batch: Batch) -> Tensor:
    """Rollout of a `VisionTransformer`, the mean over its output tokens: (B, H, W)."""
    layers = attention(model, batch, encoder_of(model, "image"))
    return _map(rollout([looked.weights for looked in layers]).mean(dim=1), batch)


def _map(seen: Tensor, batch: Batch) -> Tensor:
    """Weights of picture tokens (B, N) as maps (B, H, W)."""
    size = batch["image"].shape[-2:]
    return enlarge(as_grid(seen.unsqueeze(2), size).squeeze(1), size)
