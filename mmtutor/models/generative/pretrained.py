"""How the weights of GPT-2 and of Llama, named as in `transformers`, fit our GPT.

Knows the names on both sides; knows no arithmetic.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mmtutor import checks
from mmtutor.models.generative.config import GPTConfig

# Our parts, and theirs that they are made of: "a|b" where two stand in one; {i} counts the blocks.
PARTS = {
    "gpt2": {
        "embedding": "transformer.wte",
        "position": "transformer.wpe",
        "blocks.{i}.norm1": "transformer.h.{i}.ln_1",
        "blocks.{i}.attention.qkv": "transformer.h.{i}.attn.c_attn",
        "blocks.{i}.attention.out": "transformer.h.{i}.attn.c_proj",
        "blocks.{i}.norm2": "transformer.h.{i}.ln_2",
        "blocks.{i}.mlp.up": "transformer.h.{i}.mlp.c_fc",
        "blocks.{i}.mlp.down": "transformer.h.{i}.mlp.c_proj",
        "norm": "transformer.ln_f",
        "head": "lm_head",
    },
    "llama": {
        "embedding": "model.embed_tokens",
        "blocks.{i}.norm1": "model.layers.{i}.input_layernorm",
        "blocks.{i}.attention.qkv": "model.layers.{i}.self_attn.q_proj|k_proj|v_proj",
        "blocks.{i}.attention.out": "model.layers.{i}.self_attn.o_proj",
        "blocks.{i}.norm2": "model.layers.{i}.post_attention_layernorm",
        "blocks.{i}.mlp.up": "model.layers.{i}.mlp.gate_proj|up_proj",
        "blocks.{i}.mlp.down": "model.layers.{i}.mlp.down_proj",
        "norm": "model.norm",
        "head": "lm_head",
    },
}
# Our settings, and the names of theirs in the same order; GPT-2 has no last one.
SETTINGS = "vocab_size dim depth heads hidden max_length eps tied kv_heads"
NAMES = {
    "gpt2": "vocab_size n_embd n_layer n_head n_inner n_positions layer_norm_epsilon "
    "tie_word_embeddings",
    "llama": "vocab_size hidden_size num_hidden_layers num_attention_heads intermediate_size "
    "max_position_embeddings rms_norm_eps tie_word_embeddings num_key_value_heads",
}
LLAMA = {"positions": "rotary", "norm": "rms", "activation": "swiglu", "bias": False}
# What else a model of theirs may be told, and what of it ours can do.
ONLY = {
    "gpt2": {
        "activation_function": ("gelu_new", "gelu_pytorch_tanh"),
        "scale_attn_weights": (True,),
        "scale_attn_by_inverse_layer_idx": (False,),
    },
    "llama": {"hidden_act": ("silu",), "attention_bias": (False,), "mlp_bias": (False,)},
}


def config_of(config: Mapping[str, Any]) -> GPTConfig:
    """Our settings, from a config of `transformers` as a mapping.

    Raises ValueError for what our GPT cannot do.
    """
    kind = config.get("model_type")
    checks.one_of(PARTS, model_type=kind)
    for name, able in ONLY[kind].items():
        checks.one_of(able, **{name: config.get(name, able[0])})
    theirs = NAMES[kind].split()
    settings = {ours: config[name] for ours, name in zip(SETTINGS.split(), theirs, strict=False)}
    more = LLAMA | _rotary(config) if kind == "llama" else {}
    return GPTConfig(**settings, **more)


def weights_of(config: Mapping[str, Any], theirs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state of our GPT, from that of a model of `transformers` and its config."""
    ours, kind = config_of(config), config["model_type"]
    found = {}
    for part, sources in PARTS[kind].items():
        for i in range(ours.depth if "{i}" in part else 1):
            folder, _, names = sources.replace("{i}", str(i)).rpartition(".")
            for of in ("weight", "bias"):
                full = [f"{folder}.{name}.{of}".lstrip(".") for name in names.split("|")]
                if full[0] in theirs:
                    joined = torch.cat([theirs[name] for name in full])
                    turned = of == "weight" and names.startswith("c_")  # GPT-2's layers are x @ W
                    found[f"{part}.{of}".replace("{i}", str(i))] = joined.T if turned else joined
    if ours.tied:
        found.pop("head.weight", None)
    return found


def _rotary(config: Mapping[str, Any]) -> dict[str, float]:
    """The base of the rotary positions; refuses those of other kinds, and heads of another size."""
    usual = config["hidden_size"] // config["num_attention_heads"]
    checks.one_of((usual,), head_dim=config.get("head_dim") or usual)
    how = config.get("rope_parameters") or config.get("rope_scaling") or {}
    checks.one_of(("default",), rope_type=how.get("rope_type", "default"))
    return {"rotary_base": float(how.get("rope_theta") or config.get("rope_theta", 10_000.0))}
