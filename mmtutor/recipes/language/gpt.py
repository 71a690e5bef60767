"""A language model from scratch, on addresses in English or poems in Chinese.

Knows one whole experiment, whose score, bits per byte, does not depend on how texts are cut into
tokens. What changed from GPT-1 to Llama are settings.
"""

from __future__ import annotations

import gzip
import lzma
import math
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader

from mmtutor.data import Dataset, load, loader
from mmtutor.data.batch import collate
from mmtutor.data.tokenizer import PAD, SubwordTokenizer
from mmtutor.evaluation.efficiency import parameters
from mmtutor.evaluation.statistics.bootstrap import Interval, bootstrap_statistic
from mmtutor.losses import next_token
from mmtutor.models.generative import GPT, GPTConfig, NGram
from mmtutor.models.modes import evaluating
from mmtutor.recipes.common import Result, TrainConfig, settings, train
from mmtutor.recipes.common.config import BelowOne, Count, Rate, require_multiple
from mmtutor.training import History
from mmtutor.training.fit import Objective
from mmtutor.training.muon import make_muon


@settings
class Config(TrainConfig):
    """What one run does; `preset` gives the ones the book uses.

    Attributes:
        corpus: a set of documents, with splits by year or by poet.
        train, test: bytes of text to learn from and to be tested on, at most.
        split: what is foreseen: "test", or "val" while settings are being chosen.
        vocabulary: tokens of the BPE; 257 are the bytes alone.
        length: of the pieces of text that are learned from, in tokens, and the longest there is.
        dim, depth, heads, kv_heads, positions, norm, norm_first, activation, bias, tied, dropout:
            of `GPTConfig`.
        optimizer: "adamw", or "muon" for the matrices (`training.muon.make_muon`).
    """

    corpus: Literal["state-of-the-union", "tang-poems"] = "state-of-the-union"
    train: Count = 8_000_000
    test: Count = 300_000
    split: Literal["test", "val"] = "test"
    vocabulary: Count = 1_024
    length: Count = 128
    dim: Count = 128
    depth: Count = 4
    heads: Count = 4
    kv_heads: Count | None = None
    positions: Literal["learned", "rotary"] = "learned"
    norm: Literal["layer", "rms"] = "layer"
    norm_first: bool = True
    activation: Literal["gelu", "swiglu"] = "gelu"
    bias: bool = True
    tied: bool = True
    dropout: BelowOne = 0.0
    optimizer: Literal["adamw", "muon"] = "adamw"
    batch_size: Count = 16
    lr: Rate = 2e-3

    def _check(self) -> None:
        require_multiple(self, "dim", "heads")
        if self.kv_heads is not None:
            require_multiple(self, "heads", "kv_heads")
        if self.positions == "rotary":
            require_multiple(self, "dim", 2 * self.heads)
        for name, least in (("vocabulary", 257), ("length", 2)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}: expected at least {least}")


STORED = Config(  # the best in half an hour on one core of what was tried with `split="val"`
    train=20_000_000,
    test=2_000_000,
    vocabulary=4_096,
    positions="rotary",
    norm="rms",
    activation="swiglu",
    bias=False,
    optimizer="muon",
    batch_size=8,
    lr=0.01,
)
PRESETS = {
    "tiny": Config(train=20_000, test=4_000, vocabulary=300, length=64, dim=32, depth=1),
    "cpu": Config(train=1_000_000, test=100_000),
    "english": replace(STORED, epochs=3),  # up to an hour on a CPU; the book keeps their results
    "chinese": replace(STORED, corpus="tang-poems"),
    "t4": Config(vocabulary=8_192, length=512, dim=384, depth=6, heads=6, epochs=5, lr=1e-3),
    "h100": Config(vocabulary=8_192, length=1_024, dim=768, depth=12, heads=12, epochs=5, lr=6e-4),
}


def run(config: Config, progress: bool = True) -> Result:
    """Learn from the training texts, then foresee the held-out ones, as do counts and programs.

    Metrics: `bits_per_byte`; that of `ngrams` of tokens and of bytes, and of `programs`; and
    `gpt_minus_ngram`, paired by document, for the one of the n-grams that is better on `val`.
    """
    learned, held_out = texts(config, "train"), texts(config, config.split)
    tokenizer = SubwordTokenizer.fit(learned, config.vocabulary, exact=True)
    model = build(config, tokenizer)
    history = fitted(config, model, data(config, learned, tokenizer), progress)
    found = bits(model, cut(held_out, tokenizer.encode))
    counts = ngrams(config, learned, tokenizer, held_out)
    best = min(counts.values(), key=lambda count: count["val"])
    metrics = {
        "bits_per_byte": bits_per_byte(found, held_out)._asdict(),
        "ngrams": {
            kind: {"order": count["order"]} | bits_per_byte(count["bits"], held_out)._asdict()
            for kind, count in counts.items()
        },
        "gpt_minus_ngram": bits_per_byte(found - best["bits"], held_out)._asdict(),
        "programs": programs(learned, held_out),
        "parameters": parameters(model),
        "training_tokens_per_second": history.examples_per_second * config.length,
    }
    return Result(metrics=metrics, history=history, model=model, config=config)


def ngrams(
    config: Config, learned: Sequence[str], tokenizer: SubwordTokenizer, held_out: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """For "tokens" and "bytes" the n-gram of the `order` that is best on the split `val`.

    Each with the bits that it takes there, `val`, and for the held-out texts, `bits` (N,).
    """
    found, validation = {}, texts(config, "val")
    kinds = {"tokens": (tokenizer.encode, tokenizer.size), "bytes": (_bytes, 257)}
    for kind, (encode, size) in kinds.items():
        read, val = torch.cat(cut(learned, encode)), cut(validation, encode)
        best = {"val": math.inf}
        for order in range(1, math.ceil(63 / math.log2(size))):
            model = NGram(read, order, size)
            score = bits(model, val).sum().item()
            if score >= best["val"]:  # longer runs are rarer still
                break
            best = {"val": score, "order": order, "model": model}
        found[kind] = best | {"bits": bits(best.pop("model"), cut(held_out, encode))}
    return found


def programs(learned: Sequence[str], held_out: Sequence[str]) -> dict[str, float]:
    """Bits per byte of programs that know nothing of language: `gzip` of the held-out texts alone,
    and what they add to an `lzma` archive of the training texts, all of which it may look back at.
    """
    before, text = ("".join(part).encode() for part in (learned, held_out))
    reach = {"id": lzma.FILTER_LZMA2, "preset": 9, "dict_size": max(2**20, len(before + text))}
    alone, both = (len(lzma.compress(x, filters=[reach])) for x in (before, before + text))
    found = {"gzip": len(gzip.compress(text, 9)), "lzma, training texts read": both - alone}
    return {name: 8 * size / len(text) for name, size in found.items()}


def texts(config: Config, split: str) -> list[str]:
    """Documents of a split in an order that the seed draws, the last one cut to size."""
    documents = load(config.corpus, split).column("text")
    left, found = config.train if split == "train" else config.test, []
    generator = torch.Generator().manual_seed(config.seed if split == "train" else 0)
    for i in torch.randperm(len(documents), generator=generator).tolist():
        found.append(documents[i].encode()[:left].decode(errors="ignore"))
        left -= len(documents[i].encode())
        if left <= 0:
            break
    return [text for text in found if text]


def data(config: Config, learned: Sequence[str], tokenizer: SubwordTokenizer) -> DataLoader:
    """Batches of `tokens` (B, length), none of them padding: all texts in one row, then cut.

    The token PAD stands before each text, where nothing else would.
    """
    row = torch.cat(cut(learned, tokenizer.encode))
    pieces = row[: len(row) // config.length * config.length].view(-1, config.length)
    batches = loader(Dataset({"tokens": pieces}), config.batch_size, shuffle=True, seed=config.seed)
    batches.collate_fn = _stacked
    return batches


def cut(documents: Sequence[str], encode: Callable[[str], list[int]]) -> list[Tensor]:
    """The token PAD and those of the text, for each document: (L,) int64 each."""
    return [torch.tensor([PAD, *encode(text)]) for text in documents]


def build(config: Config, tokenizer: SubwordTokenizer) -> GPT:
    """An untrained model."""
    torch.manual_seed(config.seed)
    shape = {f.name: getattr(config, f.name) for f in fields(GPTConfig) if hasattr(config, f.name)}
    return GPT(GPTConfig(tokenizer.size, max_length=config.length, **shape))


def fitted(
    config: Config, model: GPT, batches: DataLoader, progress: bool = True, **options: Any
) -> History:
    """Train a model with the optimiser of `config`; `options` as in `recipes.common.train`."""
    if config.optimizer == "muon":
        options["optimizer"] = make_muon(model, config.lr, config.weight_decay)
    return train(config, model, objective(config), batches, progress, **options)


def objective(config: Config) -> Objective:
    """What is minimised: the surprise at each next token."""
    return next_token


def bits(model: GPT | NGram, documents: Sequence[Tensor]) -> Tensor:
    """How surprised the model is by each document (L,), of which the first token is given: (N,)."""
    return torch.stack([found.sum() for found in surprises(model, documents)])


def surprises(model: GPT | NGram, documents: Sequence[Tensor]) -> list[Tensor]:
    """The bits that each token but the first of each document (L,) takes: (L - 1,) float64.

    Each is judged once; by a GPT in windows, with at least half of its `max_length` before it where
    there is as much.
    """
    if isinstance(model, NGram):
        return [-model.probability(tokens)[1:].log2() for tokens in documents]
    length, device = model.config.max_length, model.embedding.weight.device
    found = [torch.zeros(len(tokens) - 1, dtype=torch.float64) for tokens in documents]
    windows = []
    for i, tokens in enumerate(documents):
        for start in range(0, max(1, len(tokens) - length + length // 2), length // 2):
            windows.append({"tokens": tokens[start : start + length], "start": start, "of": i})
    with evaluating(model), torch.no_grad():
        for batch in DataLoader(windows, 8, collate_fn=collate):
            seen = {name: batch[name].to(device) for name in ("tokens", "tokens_mask")}
            logits, tokens = model(seen).logits[:, :-1].float(), seen["tokens"][:, 1:]
            nats = F.cross_entropy(logits.transpose(1, 2), tokens, reduction="none").cpu()
            places = batch["start"].tolist(), batch["of"].tolist()
            for row, start, i in zip(nats, *places, strict=True):
                known = length - length // 2 - 1 if start else 0
                new = found[i][start + known : start + length - 1]
                new.copy_(row[known : known + len(new)] / math.log(2))
    return found


def bits_per_byte(surprise: Tensor, documents: Sequence[str]) -> Interval:
    """All bits (N,) over all bytes of UTF-8, and the interval over documents."""
    size = torch.tensor([len(text.encode()) for text in documents], dtype=torch.float64)
    return bootstrap_statistic(lambda weights: weights @ surprise / (weights @ size), len(size))


def _bytes(text: str) -> list[int]:
    return [1 + byte for byte in text.encode()]


def _stacked(rows: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {"tokens": torch.stack([row["tokens"] for row in rows])}
