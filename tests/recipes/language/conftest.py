"""What tests of SmolLM2 that sees have in common."""

import pytest
import torch

from mmtutor.data.fetch import located
from mmtutor.recipes.language import sighted


@pytest.fixture
def small_llama(monkeypatch):
    """SmolLM2's tokenizer, with a Llama of two small blocks that has read nothing."""
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast.from_pretrained(located("smollm2"), local_files_only=True)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        tie_word_embeddings=True,
    )

    def load():
        torch.manual_seed(0)
        model = LlamaForCausalLM(config)
        model.model.embed_tokens.weight.data *= 10  # words far from each other, as they are
        return model.eval(), tokenizer

    monkeypatch.setattr(sighted, "load_smollm2", load)
