"""Fine-tuning a language model to judge texts: SmolLM2's upper blocks against a small Transformer.

Knows one whole experiment on two kinds of texts, in a language that the model has read and in one
that it has hardly read. The lower blocks are never tuned, so each text passes them once.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from mmtutor.data import Dataset
from mmtutor.data.real.labelled_texts import KINDS, load
from mmtutor.data.tokenizer import WordTokenizer
from mmtutor.encoders import SmallTransformer
from mmtutor.encoders.base import Encoded, real
from mmtutor.evaluation.efficiency import parameters
from mmtutor.evaluation.predict import predict
from mmtutor.evaluation.statistics.bootstrap import bootstrap_interval
from mmtutor.losses import cross_entropy
from mmtutor.models import Classifier
from mmtutor.models.generative import GPT
from mmtutor.models.hub import load_smollm2
from mmtutor.recipes.common import Result, TrainConfig, settings, train
from mmtutor.recipes.common.config import Count, Rate
from mmtutor.training import History
from mmtutor.training.adapters import add_lora

WAYS = ("scratch", "probe", "prompt", "LoRA", "full")
RATES = {"prompt": 1e-2, "LoRA": 1e-3, "full": 1e-4}  # of what is tuned below the new head
UNITS = {"reviews": "character", "mails": "word"}  # of the small Transformer's vocabulary

Way = Literal[WAYS]


@settings
class Config(TrainConfig):
    """What one run does; `preset` gives the ones the book uses.

    Attributes:
        kind: "mails" or "reviews".
        ways: how the model is used, each with the same texts.
        texts, test: how many are learned from and tested on.
        length: tokens of a text that are read.
        blocks: the last so many are tuned; the others are read through once.
        rank: of LoRA.
        prompt: vectors before the text, in the way of that name.
        passes: epochs of the small Transformer, which starts from nothing.
        split: what is tested: "test", or "val" while settings are being chosen.
        lr: of the new head, and of the small Transformer; RATES are the others.
    """

    kind: Literal["mails", "reviews"] = "mails"
    ways: tuple[Way, ...] = WAYS
    texts: Count = 400
    test: Count = 400
    length: Count = 32
    blocks: Count = 4
    rank: Count = 4
    prompt: Count = 8
    passes: Count = 12
    split: Literal["test", "val"] = "test"
    epochs: Count = 3
    batch_size: Count = 16
    lr: Rate = 1e-3
    precision: Literal["auto", "fp32", "fp16", "bf16"] = "bf16"


PRESETS = {
    "tiny": Config(texts=8, test=6, length=6, blocks=1, epochs=1, passes=1, batch_size=4),
    "cpu": Config(ways=("scratch", "probe"), texts=100, test=100),
    "mails": Config(),
    "reviews": Config(kind="reviews"),
    "t4": Config(texts=5_000, test=2_000, length=64, blocks=30, precision="auto"),
    "h100": Config(texts=5_000, test=2_000, length=128, blocks=30, precision="auto"),
}


class UpperGPT(nn.Module):
    """The last blocks of a GPT, which read what the others made of the tokens.

    Args:
        gpt: gives its last `blocks`, and is not to be used any more.
        prompt: vectors (P, D) to begin with, learned and put before every text; None is none.
    """

    modality = "states"

    def __init__(self, gpt: GPT, blocks: int, prompt: Tensor | None = None) -> None:
        super().__init__()
        self.dim, self.gpt = gpt.config.dim, gpt
        gpt.blocks, gpt.embedding = gpt.blocks[-blocks:], nn.Identity()
        self.prompt = None if prompt is None else nn.Parameter(prompt)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Encoded:
        """(B, L, D), and mask (B, L) bool, True = real -> tokens (B, L, D) of the text."""
        mask = real(x, mask)
        if self.prompt is None:
            return Encoded(self.gpt.states(x, mask), mask)
        ahead = self.prompt.to(x.dtype).expand(len(x), -1, -1)
        seen = torch.cat([real(ahead), mask], dim=1)
        states = self.gpt.states(torch.cat([ahead, x], dim=1), seen)
        return Encoded(states[:, ahead.shape[1] :], mask)


def run(config: Config, progress: bool = True) -> Result:
    """Train in each way, and test.

    Metrics of each way: `accuracy`, and `minus` every other way, with intervals over texts; how
    many numbers were `trained`; and `commonest`, the share of the commoner label.
    """
    theirs, tokenizer = load_smollm2()
    parts = {split: texts(config, split) for split in ("train", config.split)}
    read = {split: states(config, theirs, tokenizer, part) for split, part in parts.items()}
    right, trained = {}, {}
    for way in config.ways:
        if way == "scratch":
            model, history, test = from_scratch(config, parts, progress)
        else:
            model, history = tuned(config, theirs, way, read["train"], progress)
            test = read[config.split]
        right[way] = predict(model, test).correct.double()
        trained[way] = parameters(model)
    share = parts[config.split].column("label").double().mean().item()
    metrics = {"commonest": max(share, 1 - share), "ways": {}}
    for way, own in right.items():
        others = {x: _interval(own - right[x]) for x in right if x != way}
        metrics["ways"][way] = {
            "accuracy": _interval(own),
            "minus": others,
            "trained": trained[way],
        }
    return Result(metrics, history, model, config)


def texts(config: Config, split: str) -> Dataset:
    """Texts and labels; of split "train", those that the seed draws."""
    whole = load(split, config.kind)
    seed, count = (config.seed, config.texts) if split == "train" else (0, config.test)
    order = torch.randperm(len(whole), generator=torch.Generator().manual_seed(seed))
    return whole.subset(order[:count])


@torch.no_grad()
def states(config: Config, theirs: Any, tokenizer: Any, part: Dataset) -> Dataset:
    """What the lower blocks make of each text, once for all: `states` (N, L, D) and its mask."""
    lower = GPT.from_transformers(theirs).eval()
    lower.blocks, lower.norm = lower.blocks[: -config.blocks], nn.Identity()
    read = [tokenizer(text)["input_ids"][: config.length] for text in part.column("text")]
    ids = [torch.tensor(each or [tokenizer.eos_token_id]) for each in read]
    tokens = pad_sequence(ids, batch_first=True)
    mask = pad_sequence([torch.ones(len(each), dtype=torch.bool) for each in ids], batch_first=True)
    found = []
    for rows in torch.arange(len(ids)).split(32):
        with torch.autocast("cpu", torch.bfloat16, enabled=config.precision == "bf16"):
            found.append(lower.states(lower.embedding(tokens[rows]), mask[rows]).float())
    columns = {"states": torch.cat(found), "states_mask": mask, "label": part.column("label")}
    return Dataset(columns, name=part.name)


def build(config: Config, theirs: Any, way: str, read: Dataset) -> nn.Module:
    """A classifier that has not learned yet, in which only what the way changes is trainable.

    A prompt begins as what the lower blocks made of the first text's words, as far as it goes.
    """
    torch.manual_seed(config.seed)
    prompt = None
    if way == "prompt":
        row = read.column("states_mask").sum(dim=1).argmax()
        prompt = read.column("states")[row, 1 : 1 + config.prompt].clone()
    upper = UpperGPT(GPT.from_transformers(theirs), config.blocks, prompt)
    model = Classifier(upper, len(KINDS[config.kind]))
    if way == "LoRA":
        add_lora(upper, config.rank, 2.0 * config.rank)
    elif way != "full":
        upper.gpt.requires_grad_(False)
    return model


def tuned(
    config: Config, theirs: Any, way: str, read: Dataset, progress: bool = False
) -> tuple[nn.Module, History]:
    """A classifier after training on the states of texts, and how that went."""
    model = build(config, theirs, way, read)
    below = [p for p in model.encoder.parameters() if p.requires_grad]
    groups = [{"params": list(model.head.parameters()), "lr": config.lr}]
    groups += [{"params": below, "lr": RATES[way]}] if below else []
    optimizer = torch.optim.AdamW(groups, weight_decay=config.weight_decay, fused=True)
    return model, train(config, model, cross_entropy, read, progress, optimizer=optimizer)


def from_scratch(
    config: Config, parts: dict[str, Dataset], progress: bool = False
) -> tuple[nn.Module, History, Dataset]:
    """A small Transformer that learns the same texts from nothing; and the test as it reads it."""
    words = WordTokenizer.fit(parts["train"].column("text"), unit=UNITS[config.kind])

    def prepared(part: Dataset) -> Dataset:
        read = [torch.tensor(words.encode(text)[:64]) for text in part.column("text")]
        return Dataset({"tokens": read, "label": part.column("label")}, name=part.name)

    torch.manual_seed(config.seed)
    model = Classifier(SmallTransformer(words.size, 64, depth=1, dropout=0.1), 2)
    one = replace(config, epochs=config.passes, precision="fp32")
    history = train(one, model, cross_entropy, prepared(parts["train"]), progress)
    return model, history, prepared(parts[config.split])


def _interval(values: Tensor) -> dict[str, float]:
    return bootstrap_interval(values)._asdict()
