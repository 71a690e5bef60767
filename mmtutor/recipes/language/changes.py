"""What changed from GPT-1 to Llama, one change at a time: same texts, same steps, same seed.

Knows which setting of `gpt` each change is. Three seeds say whether a difference is more than luck.
"""

from __future__ import annotations

from dataclasses import replace
from time import process_time
from typing import Literal

from mmtutor.data.tokenizer import SubwordTokenizer
from mmtutor.evaluation.efficiency import parameters
from mmtutor.recipes.common import Result, settings
from mmtutor.recipes.common.config import Count, Rate
from mmtutor.recipes.language import gpt

MODERN = {"positions": "rotary", "norm": "rms", "activation": "swiglu", "bias": False}
CHANGES = {
    "GPT-2": {},
    "post-norm (GPT-1)": {"norm_first": False},
    "rotary positions": {"positions": "rotary"},
    "RMSNorm": {"norm": "rms"},
    "SwiGLU": {"activation": "swiglu"},
    "no bias": {"bias": False},
    "one head of keys": {"kv_heads": 1},
    "untied": {"tied": False},
    "Llama": MODERN,
}


@settings
class Config(gpt.Config):
    """What one run does: settings of `gpt`, where nothing is changed.

    Attributes:
        changes: which of CHANGES to train.
    """

    train: Count = 1_200_000
    test: Count = 100_000
    split: Literal["test", "val"] = "val"
    dim: Count = 64
    batch_size: Count = 4
    lr: Rate = 2e-3
    changes: tuple[Literal[tuple(CHANGES)], ...] = tuple(CHANGES)


PRESETS = {
    "tiny": Config(
        train=20_000,
        test=4_000,
        vocabulary=300,
        length=64,
        dim=32,
        depth=1,
        changes=("GPT-2", "Llama"),
    ),
    "cpu": Config(),
    "t4": Config(train=8_000_000, vocabulary=4_096, length=256, dim=256, depth=6, batch_size=32),
    "h100": Config(train=8_000_000, vocabulary=4_096, length=512, dim=512, depth=8, batch_size=32),
}


def run(config: Config, progress: bool = True) -> Result:
    """Train a model for each change.

    Metrics: for each change `bits_per_byte`, `parameters`, and the `seconds` that the processor was
    at work in training. The history and the model are the last one's.
    """
    learned, held_out = (gpt.texts(config, split) for split in ("train", config.split))
    tokenizer = SubwordTokenizer.fit(learned, config.vocabulary, exact=True)
    documents, metrics = gpt.cut(held_out, tokenizer.encode), {}
    for name in config.changes:
        changed = replace(config, **CHANGES[name])
        model = gpt.build(changed, tokenizer)
        batches = gpt.data(changed, learned, tokenizer)
        started = process_time()
        history = gpt.fitted(changed, model, batches, progress)
        seconds = process_time() - started
        score = gpt.bits_per_byte(gpt.bits(model, documents), held_out)
        metrics[name] = {
            "bits_per_byte": score.estimate,
            "parameters": parameters(model),
            "seconds": seconds,
        }
    return Result(metrics=metrics, history=history, model=model, config=config)
