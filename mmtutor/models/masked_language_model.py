"""A language model that reads a whole text and says which words were hidden in it.

Knows BERT's architecture (Devlin et al. 2019) and how the weights of `transformers` fit it. Does
not know how words are hidden (`data.batch.hide_tokens`), nor losses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from mmtutor.data.batch import require
from mmtutor.encoders import SmallTransformer
from mmtutor.encoders.base import encode, real
from mmtutor.models.classifier import ClassifierOutput

if TYPE_CHECKING:
    from transformers import BertForMaskedLM


class MaskedLanguageModel(nn.Module):
    """An encoder, and for each hidden token a score for every token of the vocabulary.

    The table of word vectors serves twice: it makes vectors of ids, and scores of vectors.

    Args:
        encoder: its vocabulary has an id for what stands in the place of a hidden token.
    """

    def __init__(self, encoder: SmallTransformer) -> None:
        super().__init__()
        dim = encoder.dim
        self.encoder = encoder
        self.head = nn.Sequential(nn.Linear(dim, dim), nn.GELU(), nn.LayerNorm(dim))
        self.bias = nn.Parameter(torch.zeros(encoder.vocab_size))

    def forward(self, batch: dict[str, Tensor]) -> ClassifierOutput:
        """A batch of `hide_tokens` -> logits (M, V) of its M hidden places, row by row."""
        require(batch, "hidden")
        states = encode(self.encoder, batch).tokens  # [B, L, D]
        states = states[real(states, batch["hidden"], "hidden")]  # [M, D]
        return ClassifierOutput(self.head(states) @ self.encoder.embedding.weight.T + self.bias)


def from_bert(bert: BertForMaskedLM) -> MaskedLanguageModel:
    """A model of ours equal to a BERT of `transformers` on texts of one segment, without dropout.

    Raises ValueError for another activation than GELU, RuntimeError for another width of the
    two-layer perceptrons than four times that of the model.
    """
    config, theirs = bert.config, bert.state_dict()
    if config.hidden_act != "gelu":
        raise ValueError(f"bert must have the activation 'gelu', got {config.hidden_act!r}")
    shape = config.hidden_size, config.num_hidden_layers, config.num_attention_heads
    length = config.max_position_embeddings
    encoder = SmallTransformer(config.vocab_size, *shape, length, norm_first=False)
    ours = MaskedLanguageModel(encoder)
    for name, module in _pairs(ours):
        for kind in ("weight", "bias"):
            own = [theirs[f"{part}.{kind}"] for part in name.split(" + ")]
            getattr(module, kind).data.copy_(torch.cat(own))
    embeddings = bert.bert.embeddings
    segment = embeddings.token_type_embeddings.weight[0]
    ours.encoder.embedding.weight.data.copy_(embeddings.word_embeddings.weight)
    ours.encoder.position.data.copy_(embeddings.position_embeddings.weight + segment)
    ours.bias.data.copy_(theirs["cls.predictions.bias"])
    for module in ours.modules():
        if isinstance(module, nn.LayerNorm):
            module.eps = config.layer_norm_eps
    return ours


def _pairs(ours: MaskedLanguageModel) -> list[tuple[str, nn.Module]]:
    """Names of parts of a BERT, "a + b" where two are joined, and our parts in their place."""
    start, end = "bert.embeddings.LayerNorm", "cls.predictions.transform"
    pairs = [(start, ours.encoder.transformer.norm)]
    pairs += [(f"{end}.dense", ours.head[0]), (f"{end}.LayerNorm", ours.head[2])]
    for i, block in enumerate(ours.encoder.transformer.blocks):
        layer = f"bert.encoder.layer.{i}"
        qkv = " + ".join(f"{layer}.attention.self.{part}" for part in ("query", "key", "value"))
        pairs += [
            (qkv, block.attention.qkv),
            (f"{layer}.attention.output.dense", block.attention.out),
            (f"{layer}.attention.output.LayerNorm", block.norm1),
            (f"{layer}.intermediate.dense", block.mlp[0]),
            (f"{layer}.output.dense", block.mlp[2]),
            (f"{layer}.output.LayerNorm", block.norm2),
        ]
    return pairs
