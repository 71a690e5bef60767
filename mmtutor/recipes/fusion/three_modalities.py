"""A picture, a caption and a sound, each of an object of its own: which of the three are large?

Knows one experiment whose ceilings are exact. Every modality holds one fair bit of the answer and
no other, so with k of the three a model is right once in 2^(3 - k) times at best. The model is
article 001's formula made to run: Attention(CNN(image), RNN(text), Transformer(audio)).
"""

from __future__ import annotations

from typing import Literal

import torch

from mmtutor.data import Dataset
from mmtutor.data.shapes.captions import english
from mmtutor.data.shapes.dataset import scenes
from mmtutor.data.shapes.render import render
from mmtutor.data.shapes.scene import Scene
from mmtutor.data.shapes.sound import waveforms
from mmtutor.data.tokenizer import WordTokenizer
from mmtutor.encoders import RecurrentEncoder, SmallCNN
from mmtutor.encoders.audio import AudioTransformer
from mmtutor.evaluation.modality_use import permuted
from mmtutor.evaluation.predict import predict
from mmtutor.fusion import FUSIONS
from mmtutor.losses import cross_entropy
from mmtutor.models import FusionClassifier, ProjectionHead
from mmtutor.recipes import common
from mmtutor.recipes.common import Result, TrainConfig, settings
from mmtutor.recipes.common.config import Count, Rate

MODALITIES = ("audio", "image", "tokens")  # the first is the answer's most significant bit


@settings
class Config(TrainConfig):
    """What one run does; `preset` gives the ones the book uses. `fusion` is a name in `FUSIONS`."""

    fusion: Literal[tuple(FUSIONS)] = "attention"
    train: Count = 2_400
    test: Count = 800
    size: Count = 32
    dim: Count = 32
    epochs: Count = 4
    batch_size: Count = 100
    lr: Rate = 4e-3


PRESETS = {
    "tiny": Config(train=200, test=64, epochs=2, dim=16),
    "cpu": Config(),
    "t4": Config(train=50_000, test=5_000, size=64, dim=128, batch_size=250),
    "h100": Config(train=200_000, test=10_000, size=64, dim=256, batch_size=500),
}


def run(config: Config, progress: bool = True) -> Result:
    """Train, then test once on new objects: as they are, and with each modality shuffled."""
    torch.manual_seed(config.seed)
    tokenizer = vocabulary(config)
    model = build(config, tokenizer)
    train, test = (examples(split, config, tokenizer) for split in ("train", "test"))
    history = common.train(config, model, cross_entropy, train, progress)
    given = {"all": test, **{name: permuted(test, name) for name in MODALITIES}}
    found = {name: predict(model, data).accuracy()._asdict() for name, data in given.items()}
    metrics = {"accuracy": found.pop("all"), "without": found}
    return Result(metrics, history, model, config)


def vocabulary(config: Config) -> WordTokenizer:
    """The words of the training captions."""
    return WordTokenizer.fit(english(_scenes("train", config, "tokens")))


def build(config: Config, tokenizer: WordTokenizer) -> FusionClassifier:
    """A CNN, an RNN and a Transformer, a fusion and a linear head, untrained."""
    dim = config.dim
    encoders = {
        "image": SmallCNN(dim, width=16),
        "tokens": RecurrentEncoder(tokenizer.size, dim, cell="gru"),
        "audio": AudioTransformer(dim, depth=1),
    }
    fusion = FUSIONS[config.fusion](dict.fromkeys(encoders, dim), dim)
    return FusionClassifier(encoders, fusion, ProjectionHead(dim, 2 ** len(encoders)))


def examples(split: str, config: Config, tokenizer: WordTokenizer) -> Dataset:
    """Columns image, tokens and audio, of independent scenes, caption, and label int64 in 0..7."""
    scene = {name: _scenes(split, config, name) for name in MODALITIES}
    captions = english(scene["tokens"])
    bits = [torch.from_numpy(scene[name].size[:, 0]) for name in MODALITIES]
    columns = {
        "image": torch.from_numpy(render(scene["image"], config.size)),
        "tokens": [torch.tensor(tokenizer.encode(caption)) for caption in captions],
        "audio": torch.from_numpy(waveforms(scene["audio"])).float() / 32768,
        "caption": captions,
        "label": 4 * bits[0] + 2 * bits[1] + bits[2],
    }
    return Dataset(columns, name=f"three modalities/{split}")


def _scenes(split: str, config: Config, modality: str) -> Scene:
    """One object a scene, from a stream of the modality's own."""
    n, stream = getattr(config, split), 3 * config.seed + MODALITIES.index(modality)
    return scenes(split, n, stream, max_objects=1)
