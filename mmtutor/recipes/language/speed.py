"""A speed run: how soon does a model of `gpt` need no more than so many bits per byte?

Knows the target, and the clock, which stands still while the model is judged. Whatever settings are
the quickest over three seeds are the record.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from time import perf_counter, process_time
from typing import Literal

from torch import Tensor
from torch.utils.data import DataLoader

from mmtutor.data.tokenizer import SubwordTokenizer
from mmtutor.evaluation.efficiency import parameters
from mmtutor.recipes.common import Result, settings
from mmtutor.recipes.common.config import Count, Rate
from mmtutor.recipes.language import gpt
from mmtutor.recipes.language.changes import MODERN
from mmtutor.training import History
from mmtutor.training.loop import train
from mmtutor.training.muon import make_muon
from mmtutor.training.optim import make_optimizer


@settings
class Config(gpt.Config):
    """What one run does: settings of `gpt`, at a learning rate that stays as it is.

    Attributes:
        target: bits per byte on `split`.
        every: steps from one judgement to the next.
        epochs: passes after which a run ends without having reached the target.
    """

    test: Count = 50_000
    split: Literal["test", "val"] = "val"
    dim: Count = 96
    batch_size: Count = 8
    target: Rate = 2.2
    every: Count = 25


RECORD = {"optimizer": "muon", "lr": 1e-2, **MODERN}
SMALL = {"train": 20_000, "test": 4_000, "vocabulary": 300, "length": 64, "dim": 32, "depth": 1}
PRESETS = {
    "tiny": Config(**SMALL, target=4.7, epochs=9),
    "cpu": Config(),
    "record": Config(**RECORD),  # the quickest that the book knows
    "t4": Config(**RECORD, dim=384, depth=6, heads=6, target=1.6, every=100),
    "h100": Config(**RECORD, dim=768, depth=12, heads=12, target=1.5, every=100),
}


def run(config: Config, progress: bool = True) -> Result:
    """Train until the target is reached.

    Metrics: whether it was `reached`; the `bits_per_byte` at the end; `seconds` of training by the
    clock, and `processor_seconds`, which other programs do not lengthen; `steps`; `parameters`.
    """
    learned, held_out = (gpt.texts(config, split) for split in ("train", config.split))
    tokenizer = SubwordTokenizer.fit(learned, config.vocabulary, exact=True)
    documents, model = gpt.cut(held_out, tokenizer.encode), gpt.build(config, tokenizer)
    make = make_muon if config.optimizer == "muon" else make_optimizer
    optimizer = make(model, config.lr, config.weight_decay)
    history, working, reached = History(), 0.0, False
    batches = _passes(gpt.data(config, learned, tokenizer), config.epochs)
    while not reached and (part := list(islice(batches, config.every))):
        started = perf_counter(), process_time()
        history.loss += train(model, gpt.objective(config), part, optimizer)
        history.seconds += perf_counter() - started[0]
        working += process_time() - started[1]
        score = gpt.bits_per_byte(gpt.bits(model, documents), held_out).estimate
        reached = score <= config.target
    history.learning_rate = [config.lr] * len(history.loss)
    metrics = {
        "reached": reached,
        "bits_per_byte": score,
        "seconds": history.seconds,
        "processor_seconds": working,
        "steps": len(history.loss),
        "parameters": parameters(model),
    }
    return Result(metrics=metrics, history=history, model=model, config=config)


def _passes(batches: DataLoader, epochs: int) -> Iterator[dict[str, Tensor]]:
    for _ in range(epochs):
        yield from batches
