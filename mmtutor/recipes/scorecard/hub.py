"""A tiny ViLT (Kim et al. 2021) as if from the hub: made into a folder, and loaded from there.

Knows `transformers` and its files. `HubAnswerer` is what makes such a model one that can be
examined: pictures in [0, 1] and token ids in, `logits` out, with gradients all the way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from mmtutor.data import Dataset, loader
from mmtutor.data.hub.preprocess import need_hub_extra
from mmtutor.data.shapes.questions.dataset import ANSWERS
from mmtutor.data.tokenizer import words
from mmtutor.losses import cross_entropy
from mmtutor.models import ClassifierOutput
from mmtutor.models.hub.vqa import AnswerClassifier, load_vqa
from mmtutor.training import fit

PATCH = 12
LONGEST = 40  # tokens of a question
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


class HubAnswerer(nn.Module):
    """A question answerer of `transformers` as a model with `logits` of `answers`.

    What its image processor does with one picture after another, scaling and normalising, is done
    here to the whole batch, so that the slope by a pixel can be taken; pictures must have the
    size that the model wants.

    Args:
        loaded: what `load_vqa` gave for a model that chooses among answers.
        answers: the answers in the order of the labels.

    Raises:
        TypeError: the model writes its answers instead of choosing one.
        ValueError: it does not know one of the answers.
    """

    def __init__(self, loaded: AnswerClassifier, answers: Sequence[str]) -> None:
        super().__init__()
        if not isinstance(loaded, AnswerClassifier):
            raise TypeError(f"{type(loaded).__name__} does not choose among answers: no logits")
        unknown = sorted(set(answers) - set(loaded.answers))
        if unknown:
            raise ValueError(f"the model cannot say {', '.join(unknown)}")
        pictures = loaded.processor.image_processor
        self.model, self.tokenizer = loaded.model, loaded.processor.tokenizer
        self.mean, self.std = (
            torch.tensor(value).view(3, 1, 1) for value in (pictures.image_mean, pictures.image_std)
        )
        self.order = torch.tensor([loaded.answers.index(answer) for answer in answers])

    def forward(self, batch: dict[str, Tensor]) -> ClassifierOutput:
        """`image` (B, 3, H, W) in [0, 1], `tokens` (B, L) and their mask -> logits (B, C)."""
        image = batch["image"]
        pixels = (image - self.mean.to(image)) / self.std.to(image)
        mask = batch["tokens_mask"].long()
        said = self.model(input_ids=batch["tokens"], attention_mask=mask, pixel_values=pixels)
        return ClassifierOutput(said.logits[:, self.order.to(image.device)])

    def encode(self, question: str) -> list[int]:
        """Token ids of a question, as the checkpoint's own tokenizer has them."""
        return self.tokenizer(question, truncation=True, max_length=LONGEST)["input_ids"]


def load_answerer(folder: str | Path, answers: Sequence[str] = ANSWERS) -> HubAnswerer:
    """A model that can be examined, from a folder of safetensors; errors as in `load_vqa`."""
    with _no_bars():
        return HubAnswerer(load_vqa(folder), answers)


def train_answerer(
    folder: Path, data: Dataset, steps: int, lr: float = 2e-3, batch_size: int = 64, seed: int = 0
) -> None:
    """Load, train for some batches, and write the weights back into the folder."""
    answerer = load_answerer(folder)
    tokens = [torch.tensor(answerer.encode(text)) for text in data.column("question")]
    chosen = {"image": data.column("image"), "label": data.column("label"), "tokens": tokens}
    rows = torch.arange(steps * batch_size) % len(data)
    batches = loader(Dataset(chosen).subset(rows), batch_size, shuffle=True, seed=seed)
    fit(answerer, cross_entropy, batches, epochs=1, lr=lr, progress=False)
    with _no_bars():
        answerer.model.save_pretrained(folder)


def save_vilt(folder: Path, questions: Sequence[str], size: int, dim: int = 48) -> Path:
    """A ViLT with random weights that can read `questions` and choose among `ANSWERS`."""
    need_hub_extra()
    from transformers import (
        BertTokenizer,
        ViltConfig,
        ViltForQuestionAnswering,
        ViltImageProcessor,
        ViltProcessor,
    )

    known = [*SPECIAL, *sorted({word for text in questions for word in words(text)})]
    tokenizer = BertTokenizer(
        vocab={token: i for i, token in enumerate(known)}, model_max_length=LONGEST
    )
    config = ViltConfig(
        vocab_size=len(known),
        hidden_size=dim,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=2 * dim,
        max_position_embeddings=LONGEST,
        image_size=size,
        patch_size=PATCH,
        hidden_dropout_prob=0.0,
        id2label=dict(enumerate(ANSWERS)),
        label2id={answer: i for i, answer in enumerate(ANSWERS)},
    )
    pictures = ViltImageProcessor(size={"shortest_edge": size}, size_divisor=PATCH)
    with _no_bars():
        ViltForQuestionAnswering(config).save_pretrained(folder)
    ViltProcessor(pictures, tokenizer).save_pretrained(folder)
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
