"""Visual question answering: a CNN, a recurrent network and any fusion, and their blind controls.

Knows whole experiments on easy-VQA and on questions about `shapes`. Pretrained models and
photographs are `vqa_hub`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mmtutor.data import Dataset, load, loader
from mmtutor.data.real import easy_vqa
from mmtutor.data.shapes import questions as shapes_questions
from mmtutor.data.tokenizer import WordTokenizer
from mmtutor.encoders.recurrent import LastToken, RecurrentEncoder
from mmtutor.evaluation.efficiency import parameters
from mmtutor.evaluation.modality_use import modality_use
from mmtutor.evaluation.predict import Predictions, predict
from mmtutor.evaluation.vqa.accuracy import by_group
from mmtutor.fusion import FUSIONS
from mmtutor.losses import cross_entropy
from mmtutor.models import Classifier, FusionClassifier, ProjectionHead
from mmtutor.recipes.common.presets import UNTOUCHED, choose
from mmtutor.recipes.common.result import Result
from mmtutor.recipes.vqa.parts import (
    EdgeCNN,
    Once,
    by_picture,
    mirrored,
    product_of_experts,
    reweighted,
)
from mmtutor.training import History, fit

ANSWERS = {"easy-vqa": easy_vqa.ANSWERS, "shapes-questions": shapes_questions.ANSWERS}
BOTH = ("image", "tokens")
OBJECTIVES = {
    "none": cross_entropy,
    "product of experts": product_of_experts,
    "reweight": reweighted,
}


@dataclass(frozen=True)
class Config:
    """What one run does; `preset` gives the ones the book uses.

    Attributes:
        dataset: "easy-vqa" or "shapes-questions".
        fusion: a name in `FUSIONS`.
        modalities: those that the model is given; one alone makes a control.
        split: what is predicted: "test", or "val" while settings are being chosen, or, of biased
            questions, "adversarial".
        train, test: questions; None takes all that easy-VQA has, 20,000 and 2,000 of `shapes`.
        holdout: train pictures of easy-VQA that are kept for "val".
        mirror: train on mirrored pictures too; easy-VQA alone, whose questions do not mind.
        size, max_objects, language, types, prior, with_masks: of shapes-questions, as there.
        remedy: against biased answers, a name in `OBJECTIVES`.
        width: of the CNN; dim is the size of all tokens, hidden that of the head.
    """

    dataset: str = "easy-vqa"
    fusion: str = "product"
    modalities: tuple[str, ...] = BOTH
    split: str = "test"
    train: int | None = None
    test: int | None = None
    holdout: int = 0
    mirror: bool = False
    size: int = 48
    max_objects: int = 5
    language: str = "en"
    types: tuple[str, ...] = shapes_questions.TYPES
    prior: str = "balanced"
    with_masks: bool = False
    remedy: str = "none"
    dim: int = 64
    width: int = 16
    hidden: int = 64
    cell: str = "gru"
    epochs: int = 10
    batch_size: int = 64
    lr: float = 2e-3
    weight_decay: float = 0.05
    precision: str = "auto"
    seed: int = 0

    @classmethod
    def preset(cls, name: str) -> Config:
        """The configuration called `name`; raises ValueError naming the presets there are."""
        return choose(PRESETS, name)


SHAPES = Config(
    dataset="shapes-questions",
    fusion="film",
    dim=64,
    width=16,
    hidden=128,
    batch_size=32,
)
PRESETS = {
    "tiny": Config(
        train=16_000, test=600, dim=32, hidden=32, epochs=3, batch_size=128, lr=6e-3
    ),
    "cpu": Config(),
    "t4": replace(SHAPES, train=500_000, test=10_000, dim=192, width=48, epochs=10, batch_size=512),
    "h100": replace(
        SHAPES, train=2_000_000, test=20_000, dim=256, width=64, hidden=256, epochs=10,
        batch_size=1024,
    ),
}  # fmt: skip


class Trained(NamedTuple):
    """A model and its test questions: `data` has every column, `prepared` what the model reads."""

    model: nn.Module
    history: History
    data: Dataset
    tokenizer: WordTokenizer
    config: Config

    @property
    def prepared(self) -> Dataset:
        return prepared(self.data, self.tokenizer)

    def predictions(self, data: Dataset | None = None) -> Predictions:
        """Answers to the questions of `data`, by default those it was to be tested on."""
        data = self.prepared if data is None else prepared(data, self.tokenizer)
        return predict(self.model, loader(data, 256))


def run(config: Config, progress: bool = True) -> Result:
    """Train, answer the test questions once, and measure what each modality is worth."""
    trained = train(config, progress)
    return Result(measured(trained), trained.history, trained.model, config)


def measured(trained: Trained) -> dict[str, Any]:
    """Accuracy, in all and by type of question, and what permuting each modality costs."""
    config, data = trained.config, trained.data
    found, pictures = trained.predictions(), data.column("image_id")
    metrics: dict[str, Any] = {
        "accuracy": found.accuracy(pictures)._asdict(),
        "by_type": {
            name: interval._asdict()
            for name, interval in by_group(found.correct, data.column("type")).items()
        },
        "training_examples_per_second": trained.history.examples_per_second,
        "parameters": parameters(trained.model),
    }
    use = modality_use(trained.model, trained.prepared, config.modalities, groups=pictures)
    metrics["permuted"] = {name: result.drop._asdict() for name, result in use.items()}
    return metrics


def train(config: Config, progress: bool = False) -> Trained:
    """Train one model; nothing is tested yet."""
    data = questions(config, "train")
    tokenizer = WordTokenizer.fit(data.column("question"))
    ready = prepared(data, tokenizer)
    if config.remedy != "none":
        ready = ready.with_column("bias", question_prior(ready, tokenizer, config))
    if config.mirror:
        ready = mirrored(ready)
    torch.manual_seed(config.seed)
    model = build(config, tokenizer)
    history = fit(
        model,
        OBJECTIVES[config.remedy],
        by_picture(ready, config.batch_size, config.seed),
        epochs=config.epochs,
        lr=config.lr,
        weight_decay=config.weight_decay,
        precision=config.precision,
        progress=progress,
    )
    return Trained(model, history, questions(config, config.split), tokenizer, config)


def build(config: Config, tokenizer: WordTokenizer) -> nn.Module:
    """An untrained `FusionClassifier`, or a `Classifier` where there is one modality."""
    dim, classes = config.dim, len(ANSWERS[config.dataset])
    text = RecurrentEncoder(tokenizer.size, dim, config.cell)
    nn.init.normal_(text.embedding.weight)
    made = {"image": Once(EdgeCNN(dim, config.width)), "tokens": LastToken(text)}
    encoders = {name: made[name] for name in config.modalities}
    if len(encoders) == 1:
        return Classifier(next(iter(encoders.values())), classes)
    late = config.fusion == "late"
    fusion = FUSIONS[config.fusion](
        dict.fromkeys(encoders, dim), classes if late else config.hidden
    )
    head = nn.Identity() if late else ProjectionHead(config.hidden, classes, config.hidden)
    return FusionClassifier(encoders, fusion, head)


def questions(config: Config, split: str) -> Dataset:
    """The questions of `split` with all their columns. Test questions of `shapes` are drawn from
    seeds that nothing was chosen on."""
    count = config.train if split == "train" else config.test
    if config.dataset == "easy-vqa":
        data = load("easy-vqa", split, holdout=config.holdout)
        return data if count is None else data.subset(range(count))
    return load(
        "shapes-questions",
        split,
        n=count or (20_000 if split == "train" else 2_000),
        size=config.size,
        seed=config.seed + (0 if split in ("train", "val") else UNTOUCHED),
        max_objects=config.max_objects,
        language=config.language,
        types=config.types,
        prior=config.prior,
        with_masks=config.with_masks and split != "train",
    )


def prepared(data: Dataset, tokenizer: WordTokenizer) -> Dataset:
    """Only what a model reads: pictures, tokens, `label` and `image_id`."""
    texts = data.column("question")
    ids = {text: torch.tensor(tokenizer.encode(text)) for text in set(texts)}
    columns = {name: data.column(name) for name in ("image", "label", "image_id")}
    return Dataset({**columns, "tokens": [ids[text] for text in texts]}, name=data.name)


def question_prior(data: Dataset, tokenizer: WordTokenizer, config: Config) -> Tensor:
    """(N, C) log p(answer | question), by a model that is trained on the questions alone."""
    blind = replace(config, modalities=("tokens",), remedy="none")
    torch.manual_seed(config.seed)
    model = build(blind, tokenizer)
    batches = by_picture(data, config.batch_size, config.seed)
    fit(model, cross_entropy, batches, epochs=2, lr=config.lr, progress=False)
    return predict(model, loader(data, 512)).logits.log_softmax(dim=1)


def ask(trained: Trained, image: Tensor, question: str, k: int = 3) -> list[tuple[str, float]]:
    """The k likeliest answers to any question about a picture, each with its probability.

    Args:
        image: (3, S, S), uint8 or float in [0, 1], of the size trained on.

    Raises ValueError if the question has no word.
    """
    image = image.float() / 255 if image.dtype == torch.uint8 else image
    device = next(trained.model.parameters()).device
    ids = torch.tensor(trained.tokenizer.encode(question))[None]
    batch = {"image": image[None], "tokens": ids, "tokens_mask": torch.ones_like(ids) > 0}
    trained.model.eval()
    with torch.no_grad():
        logits = trained.model({name: value.to(device) for name, value in batch.items()}).logits
    top = logits.softmax(dim=1).squeeze(0).topk(k)
    answers = ANSWERS[trained.config.dataset]
    return [(answers[i], p) for p, i in zip(top.values.tolist(), top.indices.tolist(), strict=True)]
