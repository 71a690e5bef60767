"""A tiny ViLT (Kim et al. 2021) as if from the hub: made into a folder, and loaded from there.

Knows `transformers` and its files; `HubAnswerer` makes such a model one with `logits`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from mmtutor.data import Dataset
from mmtutor.data.hub.preprocess import need_hub_extra
from mmtutor.data.shapes.questions.dataset import ANSWERS
from mmtutor.data.tokenizer import words
from mmtutor.losses import cross_entropy
from mmtutor.models.hub.answerer import LONGEST, HubAnswerer
from mmtutor.models.hub.vqa import load_vqa
from mmtutor.recipes.common import TrainConfig, train
from mmtutor.recipes.scorecard.config import Config

PATCH = 12
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def hub_answerer(config: Config, data: Dataset) -> HubAnswerer:
    """A tiny ViLT that was saved into a folder, trained there a little, and loaded again."""
    torch.manual_seed(config.seed)
    with TemporaryDirectory() as name, _no_bars():
        folder = _save_vilt(Path(name), data.column("question"), config.size)
        _train(folder, data, config.hub_steps, config.seed)
        return HubAnswerer(load_vqa(folder), ANSWERS)


def _train(folder: Path, data: Dataset, steps: int, seed: int) -> None:
    """Load, train for some batches, and write the weights back into the folder."""
    config = TrainConfig(batch_size=64, lr=2e-3, seed=seed)
    answerer = HubAnswerer(load_vqa(folder), ANSWERS)
    tokens = [torch.tensor(answerer.encode(text)) for text in data.column("question")]
    chosen = {"image": data.column("image"), "label": data.column("label"), "tokens": tokens}
    rows = torch.arange(steps * config.batch_size) % len(data)
    train(config, answerer, cross_entropy, Dataset(chosen).subset(rows))
    answerer.model.save_pretrained(folder)


def _save_vilt(folder: Path, questions: Sequence[str], size: int) -> Path:
    """A ViLT with random weights that can read `questions` and choose among `ANSWERS`."""
    need_hub_extra()
    import transformers

    known = [*SPECIAL, *sorted({word for text in questions for word in words(text)})]
    tokenizer = transformers.BertTokenizer(
        vocab={token: i for i, token in enumerate(known)}, model_max_length=LONGEST
    )
    config = transformers.ViltConfig(
        vocab_size=len(known),
        hidden_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=96,
        max_position_embeddings=LONGEST,
        image_size=size,
        patch_size=PATCH,
        hidden_dropout_prob=0.0,
        id2label=dict(enumerate(ANSWERS)),
        label2id={answer: i for i, answer in enumerate(ANSWERS)},
    )
    pictures = transformers.ViltImageProcessor(size={"shortest_edge": size}, size_divisor=PATCH)
    transformers.ViltForQuestionAnswering(config).save_pretrained(folder)
    transformers.ViltProcessor(pictures, tokenizer).save_pretrained(folder)
    return folder


@contextmanager
def _no_bars() -> Iterator[None]:
    """No progress bars inside, for files of a few kilobytes; afterwards as they were."""
    need_hub_extra()
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
