"""What both recipes of visual question answering share: questions, what a model reads, its answers.

Knows columns of questions and trained models. Does not know how a model is put together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from mmtutor.data import Dataset, collate, load
from mmtutor.data.shapes.questions.dataset import TYPES
from mmtutor.data.tokenizer import WordTokenizer
from mmtutor.encoders.recurrent import LastToken, RecurrentEncoder
from mmtutor.evaluation.efficiency import parameters
from mmtutor.evaluation.modality_use import ablate
from mmtutor.evaluation.predict import Predictions, predict
from mmtutor.evaluation.statistics.bootstrap import by_group
from mmtutor.losses import cross_entropy
from mmtutor.losses.answering import product_of_experts, reweighted
from mmtutor.models import Classifier
from mmtutor.recipes.common.config import TEST_SEED_OFFSET, Count, TrainConfig, settings
from mmtutor.recipes.common.training import train
from mmtutor.training import History

BOTH = ("image", "tokens")
SIDE = 48  # pixels of a picture of shapes, 16 to a cell
REMEDIES = {
    "none": cross_entropy,
    "product of experts": product_of_experts,
    "reweight": reweighted,
}


@settings
class QuestionConfig(TrainConfig):
    """Which questions are asked, and what helps against biased answers.

    Attributes:
        train, test: how many questions; None for 20,000 and 2,000.
        split: what is predicted: "test", "val" while settings are being chosen, "unseen", or, of
            biased questions, "adversarial".
        types, prior, language, with_masks: of shapes-questions, as there.
        remedy: against biased answers, a name in `REMEDIES`.
        dim, width: size of all tokens, and of the CNN.
    """

    train: Count | None = None
    test: Count | None = None
    split: Literal["test", "val", "unseen", "adversarial"] = "test"
    types: tuple[Literal[TYPES], ...] = TYPES
    prior: Literal["balanced", "biased"] = "balanced"
    language: Literal["en", "zh"] = "en"
    with_masks: bool = False
    remedy: Literal[tuple(REMEDIES)] = "none"
    dim: Count = 64
    width: Count = 16

    def _check(self) -> None:
        if self.split == "adversarial" and self.prior != "biased":
            raise ValueError(
                "split is 'adversarial', which turns a bias round: it needs prior 'biased'"
            )


class Trained(NamedTuple):
    """A model and its test questions: `data` has every column, `prepared` what the model reads.

    `answers` are the C answers in the order of the logits.
    """

    model: nn.Module
    history: History
    data: Dataset
    tokenizer: WordTokenizer
    answers: Sequence[str]

    @property
    def prepared(self) -> Dataset:
        return prepared(self.data, self.tokenizer)

    def predictions(self, data: Dataset | None = None) -> Predictions:
        """Answers to the questions of `data`, by default those it was to be tested on."""
        data = self.prepared if data is None else prepared(data, self.tokenizer)
        return predict(self.model, data)

    def ask(self, image: Tensor, question: str, k: int = 3) -> list[tuple[str, float]]:
        """The k likeliest answers to any question about a picture, each with its probability.

        Args:
            image: (3, S, S), uint8 or float in [0, 1], of the size trained on.

        Raises ValueError if the question has no word.
        """
        ids = torch.tensor(self.tokenizer.encode(question))
        example = {"image": image, "tokens": ids, "label": 0}
        logits = predict(self.model, [collate([example])]).logits
        top = logits.softmax(dim=1).squeeze(0).topk(k)
        pairs = zip(top.indices.tolist(), top.values.tolist(), strict=True)
        return [(self.answers[i], probability) for i, probability in pairs]

    def metrics(self, modalities: Sequence[str] = BOTH) -> dict[str, Any]:
        """Accuracy, in all and by type of question, and what permuting each modality costs."""
        found, pictures = self.predictions(), self.data.column("image_id")
        by_type = by_group(found.correct, self.data.column("type"))
        use = {
            name: ablate(self.model, self.prepared, name, groups=pictures) for name in modalities
        }
        return {
            "accuracy": found.accuracy(pictures)._asdict(),
            "by_type": {name: interval._asdict() for name, interval in by_type.items()},
            "training_examples_per_second": self.history.examples_per_second,
            "parameters": parameters(self.model),
            "permuted": {name: result.drop._asdict() for name, result in use.items()},
        }


def shapes_questions(config: QuestionConfig, split: str) -> Dataset:
    """The questions of `split` about `shapes` with all their columns. Test questions are drawn from
    seeds that nothing was chosen on."""
    train = split == "train"
    return load(
        "shapes-questions",
        split,
        n=(config.train or 20_000) if train else (config.test or 2_000),
        size=SIDE,
        seed=config.seed + (0 if split in ("train", "val") else TEST_SEED_OFFSET),
        types=config.types,
        prior=config.prior,
        language=config.language,
        with_masks=config.with_masks and not train,
    )


def prepared(data: Dataset, tokenizer: WordTokenizer) -> Dataset:
    """Only what a model reads: pictures, tokens, `label` and `image_id`."""
    texts = data.column("question")
    ids = {text: torch.tensor(tokenizer.encode(text)) for text in set(texts)}
    columns = {name: data.column(name) for name in ("image", "label", "image_id")}
    return Dataset({**columns, "tokens": [ids[text] for text in texts]}, name=data.name)


def question_encoder(tokenizer: WordTokenizer, dim: int) -> nn.Module:
    """A GRU's last state, one token (B, 1, dim), from word vectors of length about sqrt(dim)."""
    text = RecurrentEncoder(tokenizer.size, dim, "gru")
    nn.init.normal_(text.embedding.weight)
    return LastToken(text)


def question_prior(
    data: Dataset, tokenizer: WordTokenizer, config: QuestionConfig, classes: int
) -> Tensor:
    """(N, C) log p(answer | question), by a model that is trained on the questions alone."""
    torch.manual_seed(config.seed)
    model = Classifier(question_encoder(tokenizer, config.dim), classes)
    train(replace(config, epochs=2), model, cross_entropy, data)
    return predict(model, data).logits.log_softmax(dim=1)
