"""Our GPT against `transformers`, the same weights: a GPT-2 of a million parameters that learns and
writes, and a Llama of SmolLM2-135M's shape that writes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from benchmarks.harness import Comparison, trains
from mmtutor.evaluation.efficiency import parameters
from mmtutor.losses import next_token
from mmtutor.models.generative import GPT, generate

SMOLLM2 = {"vocab_size": 49_152, "hidden_size": 576, "num_hidden_layers": 30}
SMOLLM2 |= {"num_attention_heads": 9, "num_key_value_heads": 3, "intermediate_size": 1_536}
SMOLLM2 |= {"max_position_embeddings": 512, "rope_theta": 100_000.0}
FASTER = 1 / 1.5  # at most this share of the peer's time, where the arithmetic is not all of it


def comparisons(
    dim: int = 128, length: int = 128, written: int = 64, large: dict[str, Any] = SMOLLM2
) -> list[Comparison]:
    """A row for training, and for each of two models one for a text alone and one for 16."""
    from transformers import LlamaConfig, LlamaForCausalLM

    rows = [_training(dim, length)]
    small, large = _gpt2(dim, length).eval(), LlamaForCausalLM(LlamaConfig(**large)).eval()
    for theirs, bound in ((small, FASTER), (large, 1.0)):
        ours = GPT.from_transformers(theirs)
        rows += [_generation(ours, theirs, texts, length // 4, written, bound) for texts in (1, 16)]
    return rows


def _gpt2(dim: int, length: int) -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    sizes = {"vocab_size": 1_000, "n_positions": length, "n_embd": dim, "n_layer": 4, "n_head": 4}
    ends = {"bos_token_id": 0, "eos_token_id": 0}
    none = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    return GPT2LMHeadModel(GPT2Config(**sizes, **ends, **none))


def _training(dim: int, length: int, batch: int = 16, steps: int = 3) -> Comparison:
    """AdamW steps on one batch, from where the last call left; the losses are compared."""
    theirs = _gpt2(dim, length).train()
    ours = GPT.from_transformers(theirs).train()
    tokens = torch.randint(1_000, (batch, length))
    batch_of = {"tokens": tokens}
    return Comparison(
        f"{steps} training steps, {_size(ours)}, {batch} texts of {length} tokens",
        "transformers GPT2LMHeadModel",
        trains(ours, lambda: next_token(ours(batch_of), batch_of), steps, 1e-4),
        trains(theirs, lambda: theirs(tokens, labels=tokens).loss, steps, 1e-4),
        _same_losses,
        at_most=1.0,
        rounds=11,
    )


def _size(model: GPT) -> str:
    return f"{parameters(model) / 1e6:.1f} M parameters"


def _generation(ours: GPT, theirs: Any, texts: int, read: int, written: int, bound: float):
    """Greedy; without a stop token, so that both write as much."""
    tokens = torch.randint(1, ours.config.vocab_size, (texts, read))
    mask = torch.ones_like(tokens)
    how = {"max_new_tokens": written, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    return Comparison(
        f"{written} tokens after {read}, greedy, {texts} texts at once, {_size(ours)}",
        "transformers generate",
        lambda: generate(ours, {"tokens": tokens}, written).tokens,
        lambda: theirs.generate(tokens, attention_mask=mask, **how)[:, read:],
        _same_tokens,
        at_most=bound,
        rounds=5,
        examples=texts * written,
    )


def _same_losses(ours: list[float], theirs: list[float]) -> None:
    torch.testing.assert_close(torch.tensor(ours), torch.tensor(theirs), rtol=1e-4, atol=1e-4)
    assert ours[-1] < ours[0]


def _same_tokens(ours: Tensor, theirs: Tensor) -> None:
    assert torch.equal(ours, theirs)
