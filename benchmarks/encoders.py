"""The encoders, forward and backward, against models of the same size from torchvision, torch or
transformers.

On a CPU in float32; where there is a GPU, on it in bfloat16.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchmarks.harness import Comparison
from mmtutor.encoders import SmallTransformer

SIZES_WITHIN = 1.25  # "the same size": parameters differ by at most this factor
LENGTH = 64


@dataclass(frozen=True)
class Pair:
    """An encoder and its peer, on one input."""

    name: str
    encoder: nn.Module
    inputs: tuple[Tensor, ...]
    peer_name: str
    peer: nn.Module
    call: Callable[[nn.Module, tuple[Tensor, ...]], Tensor]  # the peer on the input


def comparisons(batch: int = 32, rounds: int = 7) -> list[Comparison]:
    """Two rows for each encoder, forward alone and forward with backward; no bounds."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    return [
        comparison for pair in pairs(batch) for comparison in _rows(pair, batch, device, rounds)
    ]


def pairs(batch: int) -> Iterator[Pair]:
    """The encoders with their peers, on random inputs of usual size."""
    yield _text(batch)


def _text(batch: int, vocabulary: int = 8_000, dim: int = 256, depth: int = 4, heads: int = 4):
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=dim,
        num_hidden_layers=depth,
        num_attention_heads=heads,
        intermediate_size=4 * dim,
        max_position_embeddings=LENGTH,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    ids = torch.randint(vocabulary, (batch, LENGTH))
    return Pair(
        f"SmallTransformer, {LENGTH} tokens",
        SmallTransformer(vocabulary, dim, depth, heads, LENGTH),
        (ids, torch.ones_like(ids, dtype=torch.bool)),
        "transformers BertModel",
        BertModel(config, add_pooling_layer=False),
        lambda peer, inputs: peer(inputs[0], attention_mask=inputs[1]).last_hidden_state,
    )


def _rows(pair: Pair, batch: int, device: str, rounds: int) -> Iterator[Comparison]:
    encoder, peer = pair.encoder.to(device).train(), pair.peer.to(device).train()
    inputs = tuple(x.to(device) for x in pair.inputs)

    def ours(backward: bool) -> None:
        _run(encoder, lambda: encoder(*inputs).tokens, backward, device)

    def theirs(backward: bool) -> None:
        _run(peer, lambda: pair.call(peer, inputs), backward, device)

    def same(_: None, __: None) -> None:
        sizes = [sum(p.numel() for p in model.parameters()) for model in (encoder, peer)]
        assert max(sizes) <= SIZES_WITHIN * min(sizes), (pair.name, sizes)

    precision = "bf16" if device == "cuda" else "fp32"
    for backward in (False, True):
        yield Comparison(
            what=f"{pair.name}, {'forward and backward' if backward else 'forward'}, {precision}",
            peer=pair.peer_name,
            ours=lambda backward=backward: ours(backward),
            theirs=lambda backward=backward: theirs(backward),
            same=same,
            rounds=rounds,
            examples=batch,
            models=(encoder, peer),
        )


def _run(model: nn.Module, forward: Callable[[], Tensor], backward: bool, device: str) -> None:
    """One pass, waited for; gradients are made and dropped."""
    with torch.set_grad_enabled(backward):
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            out = forward()
        if backward:
            out.float().square().mean().backward()
            model.zero_grad(set_to_none=True)
    if device == "cuda":
        torch.cuda.synchronize()
