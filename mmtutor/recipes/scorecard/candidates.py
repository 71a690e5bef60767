"""The candidates that the suite evaluates, and three of them with a planted fault.

All of them but the one from the hub see through the same image encoder. It learns first, from
pictures alone, what stands in them; then it is frozen, every picture is encoded once, and the rest
of each model trains in seconds. Knows how models are made and trained; does not know the suite.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmtutor.data import Dataset
from mmtutor.data.shapes.questions.dataset import ANSWERS
from mmtutor.data.shapes.scene import COLOURS, SHAPES
from mmtutor.data.tokenizer import WordTokenizer
from mmtutor.encoders import BagOfWords, FrozenEncoder, SmallCNN
from mmtutor.fusion import FUSIONS
from mmtutor.losses import cross_entropy
from mmtutor.losses.answering import attribute_cross_entropy
from mmtutor.models import Classifier, FusionClassifier, ProjectionHead
from mmtutor.models.grid_detector import AttributeClassifier
from mmtutor.recipes.common import TrainConfig, train
from mmtutor.recipes.scorecard.config import Config
from mmtutor.recipes.scorecard.hub import hub_answerer
from mmtutor.recipes.scorecard.planted_faults import GroupBiased, SaturatedLogits
from mmtutor.training import History

Encode = Callable[[str], Sequence[int]]

ALONE = {"question only": "tokens", "image only": "image"}
FUSION = {"concatenation": "concat", "cross-attention": "cross_attention"}


class Candidate(NamedTuple):
    """A model to be evaluated, and what makes token ids of a question for it."""

    model: nn.Module
    encode: Encode


def candidates(
    config: Config, data: Dataset, progress: bool = False
) -> tuple[dict[str, Candidate], History]:
    """All models, trained on `data`, and the course of the concatenation's training."""
    tokenizer = WordTokenizer.fit(data.column("question"))
    seeing = _pretrain_encoder(config, data, progress)
    tokens = encoded(data, tokenizer.encode).column("tokens")
    image = seeing.tokens(data.column("image"))
    ready = Dataset({"image": image, "tokens": tokens, "label": data.column("label")})
    models, histories = {}, {}
    for name in ALONE | FUSION:
        model = _untrained(config, name, seeing.encoder, tokenizer.size)
        histories[name] = train(config, model, cross_entropy, ready, progress)
        models[name] = Candidate(model.eval(), tokenizer.encode)
    if config.hub:
        answerer = hub_answerer(config, data)
        models["tiny ViLT"] = Candidate(answerer, answerer.encode)
    return models, histories["concatenation"]


def encoded(data: Dataset, encode: Encode) -> Dataset:
    """`data` with the column `tokens`, made from its questions."""
    return data.with_column("tokens", [torch.tensor(encode(q)) for q in data.column("question")])


def _pretrain_encoder(config: Config, data: Dataset, progress: bool = False) -> AttributeClassifier:
    """A model whose image encoder has learned what stands in the pictures of `data`."""
    torch.manual_seed(config.seed)
    model = AttributeClassifier(SmallCNN(config.dim, config.width, patch=config.size // 12))
    pictures = Dataset({"image": data.column("image"), "kinds": _kinds(data)})
    how = TrainConfig(
        epochs=config.look, batch_size=config.batch_size, lr=config.lr, seed=config.seed
    )
    shown = pictures.subset(range(config.pictures))
    train(how, model, attribute_cross_entropy, shown, progress)
    return model


def _kinds(data: Dataset) -> Tensor:
    """(N, 48) float: whether an object of each colour and shape is in the picture."""
    colour, shape = data.column("colour"), data.column("shape")
    kind = torch.where(colour < 0, len(COLOURS) * len(SHAPES), colour * len(SHAPES) + shape)
    return F.one_hot(kind, len(COLOURS) * len(SHAPES) + 1).amax(dim=1)[:, :-1].float()


def planted(good: Candidate) -> dict[str, Candidate]:
    """A good model, two with a planted fault, and the control of the unfair one.

    The over-confident one gives the same answers far too surely.
    """
    faults = {
        "good": good.model,
        "over-confident": SaturatedLogits(good.model, 10),
        "unlucky": GroupBiased(good.model, "random_group"),
        "unfair": GroupBiased(good.model, "background"),
    }
    return {name: Candidate(model, good.encode) for name, model in faults.items()}


def _untrained(config: Config, name: str, encoder: nn.Module, vocabulary: int) -> nn.Module:
    torch.manual_seed(config.seed)
    text = BagOfWords(vocabulary, config.dim)
    nn.init.normal_(text.embedding.weight)
    encoders = {"image": FrozenEncoder(encoder), "tokens": text}
    if name in ALONE:
        return Classifier(encoders[ALONE[name]], len(ANSWERS))
    fusion = FUSIONS[FUSION[name]](dict.fromkeys(encoders, config.dim), config.hidden)
    head = ProjectionHead(config.hidden, len(ANSWERS), config.hidden)
    return FusionClassifier(encoders, fusion, head)
