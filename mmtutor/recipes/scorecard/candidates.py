"""The models that sit the exam of `recipes.scorecard`, and three with a planted fault.

All of them but the one from the hub see through the same image encoder. It learns first, from
pictures alone, what stands in them; then it is frozen, every picture is encoded once, and the rest
of each model trains in seconds. Knows how models are made and trained; does not know the exam.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmtutor.data import Dataset, loader
from mmtutor.data.shapes.questions.dataset import ANSWERS
from mmtutor.data.shapes.scene import COLOURS, SHAPES
from mmtutor.data.tokenizer import WordTokenizer
from mmtutor.encoders import Encoded, SmallCNN
from mmtutor.encoders.text import BagOfWords
from mmtutor.fusion import FUSIONS
from mmtutor.losses import cross_entropy
from mmtutor.models import Classifier, ClassifierOutput, FusionClassifier, ProjectionHead
from mmtutor.recipes.scorecard.hub import load_answerer, save_vilt, train_answerer
from mmtutor.training import History, fit

if TYPE_CHECKING:
    from mmtutor.recipes.scorecard.suite import Config

Encode = Callable[[str], Sequence[int]]

BOTH = ("image", "tokens")
RECIPES = {
    "question only": ("tokens",),
    "picture only": ("image",),
    "concatenation": BOTH,
    "cross-attention": BOTH,
}
FUSION = {"concatenation": "concat", "cross-attention": "cross_attention"}


class Entrant(NamedTuple):
    """A model that sits the exam, and what makes token ids of a question for it."""

    model: nn.Module
    encode: Encode


def entrants(
    config: Config, data: Dataset, progress: bool = False
) -> tuple[dict[str, Entrant], History]:
    """All models, trained on `data`, and the course of the concatenation's training."""
    tokenizer = WordTokenizer.fit(data.column("question"))
    encoder = looked(config, data, progress)
    seen = encoded(data, tokenizer.encode).with_column("image", features(encoder, data))
    models, histories = {}, {}
    for name in RECIPES:
        model = _untrained(config, name, tokenizer.size)
        histories[name] = fit(
            model,
            cross_entropy,
            loader(_only(seen, *BOTH, "label"), config.batch_size, shuffle=True, seed=config.seed),
            epochs=config.epochs,
            lr=config.lr,
            weight_decay=config.weight_decay,
            precision=config.precision,
            progress=progress,
        )
        models[name] = Entrant(_with_eyes(model, encoder), tokenizer.encode)
    if config.hub:
        answerer = hub_model(config, data)
        models["tiny ViLT"] = Entrant(answerer, answerer.encode)
    return models, histories["concatenation"]


def hub_model(config: Config, data: Dataset) -> nn.Module:
    """A tiny ViLT that was saved into a folder, trained there a little, and loaded again."""
    torch.manual_seed(config.seed)
    with TemporaryDirectory() as name:
        folder = save_vilt(Path(name), data.column("question"), config.size)
        train_answerer(folder, data, config.hub_steps, seed=config.seed)
        return load_answerer(folder)


def encoded(data: Dataset, encode: Encode) -> Dataset:
    """`data` with the column `tokens`, made from its questions."""
    return data.with_column("tokens", [torch.tensor(encode(q)) for q in data.column("question")])


# The image encoder


class Looker(nn.Module):
    """Which kinds of object (colour and shape) are in a picture: logits (B, 48)."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.dim, len(COLOURS) * len(SHAPES))

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """There is one where any token shows one."""
        return self.head(self.encoder(batch["image"]).tokens).amax(dim=1)


def looked(config: Config, data: Dataset, progress: bool = False) -> nn.Module:
    """An image encoder that has learned what stands in the pictures of `data`; frozen."""
    torch.manual_seed(config.seed)
    model = Looker(SmallCNN(config.dim, config.width, patch=config.size // 12))
    pictures = Dataset({"image": data.column("image"), "kinds": kinds(data)})
    batches = loader(
        pictures.subset(range(config.pictures)), config.batch_size, shuffle=True, seed=config.seed
    )
    fit(model, _which_kinds, batches, epochs=config.look, lr=config.lr, progress=progress)
    return model.encoder.requires_grad_(False)


def kinds(data: Dataset) -> Tensor:
    """(N, 48) float: whether an object of each colour and shape is in the picture."""
    colour, shape = data.column("colour"), data.column("shape")
    kind = torch.where(colour < 0, len(COLOURS) * len(SHAPES), colour * len(SHAPES) + shape)
    return F.one_hot(kind, len(COLOURS) * len(SHAPES) + 1).amax(dim=1)[:, :-1].float()


def _which_kinds(logits: Tensor, batch: dict[str, Tensor]) -> Tensor:
    return len(logits[0]) * F.binary_cross_entropy_with_logits(logits, batch["kinds"])


@torch.no_grad()
def features(encoder: nn.Module, data: Dataset) -> Tensor:
    """The tokens (N, T, D) of every picture, in evaluation mode."""
    device = next(encoder.parameters()).device
    parts = data.column("image").split(256)
    encoder.eval()
    return torch.cat([encoder(part.to(device).float() / 255).tokens.cpu() for part in parts])


class Seen(nn.Module):
    """Stands in for an image encoder while pictures come as its tokens."""

    modality = "image"

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Encoded:
        """Tokens (B, T, D) -> the same, all real."""
        return Encoded(x, x.new_ones(x.shape[:2], dtype=torch.bool))


def _untrained(config: Config, name: str, vocabulary: int) -> nn.Module:
    torch.manual_seed(config.seed)
    text = BagOfWords(vocabulary, config.dim)
    nn.init.normal_(text.embedding.weight)
    made = {"image": Seen(config.dim), "tokens": text}
    encoders = {modality: made[modality] for modality in RECIPES[name]}
    if len(encoders) == 1:
        return Classifier(next(iter(encoders.values())), len(ANSWERS))
    fusion = FUSIONS[FUSION[name]](dict.fromkeys(encoders, config.dim), config.hidden)
    head = ProjectionHead(config.hidden, len(ANSWERS), config.hidden)
    return FusionClassifier(encoders, fusion, head)


def _with_eyes(model: nn.Module, encoder: nn.Module) -> nn.Module:
    """The model with the image encoder in the place of `Seen`, in evaluation mode."""
    if isinstance(model, FusionClassifier):
        model.encoders["image"] = copy.deepcopy(encoder)
    elif isinstance(model.encoder, Seen):
        model.encoder = copy.deepcopy(encoder)
    return model.eval()


def _only(data: Dataset, *names: str) -> Dataset:
    return Dataset({name: data.column(name) for name in names}, name=data.name)


# Planted faults


class OverConfident(nn.Module):
    """The same answers as `model`, said far too surely: its logits times `factor`."""

    def __init__(self, model: nn.Module, factor: float = 10.0) -> None:
        super().__init__()
        self.model, self.factor = model, factor

    def forward(self, batch: dict[str, Tensor]) -> ClassifierOutput:
        return ClassifierOutput(self.factor * self.model(batch).logits)


class Spiteful(nn.Module):
    """`model`, but it gives its second-best answer where the number `key` of an example is `group`.

    With the shade of the background as `key` it is unfair. With luck as `key` it is the control:
    wrong just as often, but in all shades alike. Its confidences are those of `model`.
    """

    def __init__(self, model: nn.Module, key: str, group: int = 0) -> None:
        super().__init__()
        self.model, self.key, self.group = model, key, group

    def forward(self, batch: dict[str, Tensor]) -> ClassifierOutput:
        logits = self.model(batch).logits
        if self.key not in batch:  # a batch of nothing but what a model is supposed to use
            return ClassifierOutput(logits)
        first, second = logits.topk(2, dim=1).indices.unbind(dim=1)
        order = torch.arange(logits.shape[1], device=logits.device).repeat(len(logits), 1)
        order.scatter_(1, first[:, None], second[:, None]).scatter_(
            1, second[:, None], first[:, None]
        )
        hit = (batch[self.key] == self.group).unsqueeze(1)
        return ClassifierOutput(torch.where(hit, logits.gather(1, order), logits))


def planted(good: Entrant) -> dict[str, Entrant]:
    """A good model, two with a planted fault, and the control of the unfair one."""
    faults = {
        "good": good.model,
        "over-confident": OverConfident(good.model),
        "unlucky": Spiteful(good.model, "luck"),
        "unfair": Spiteful(good.model, "background"),
    }
    return {name: Entrant(model, good.encode) for name, model in faults.items()}
