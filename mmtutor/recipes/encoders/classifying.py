"""Training and testing one classifier: what the recipes of the four encoder chapters share.

Knows one encoder, one training set and one test set. Does not know any data set or encoder.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import nn

from mmtutor.data import Dataset, loader
from mmtutor.evaluation.efficiency import parameters
from mmtutor.evaluation.predict import Predictions, predict
from mmtutor.losses import cross_entropy
from mmtutor.models import Classifier
from mmtutor.training import History, fit


class Trained(NamedTuple):
    """One classifier after training: the model, how it went, and its answers on the test set."""

    model: Classifier
    history: History
    test: Predictions

    @property
    def metrics(self) -> dict[str, Any]:
        """Test accuracy with its interval, training speed and size."""
        return {
            "accuracy": self.test.accuracy()._asdict(),
            "training_examples_per_second": self.history.examples_per_second,
            "parameters": parameters(self.model),
        }


def train_classifier(
    encoder: nn.Module,
    train: Dataset,
    test: Dataset,
    classes: int,
    *,
    epochs: int,
    batch_size: int = 128,
    lr: float = 1e-3,
    weight_decay: float = 0.01,
    dropout: float = 0.0,
    precision: str = "auto",
    seed: int = 0,
    progress: bool = False,
) -> Trained:
    """Train `encoder` with a linear layer on `train`, then predict `test` once.

    Both data sets have a column `label` int64 in [0, classes) and the encoder's modality. `seed`
    orders the batches and draws the linear layer; the encoder comes as it is. Options as in `fit`.
    """
    torch.manual_seed(seed)
    model = Classifier(encoder, classes, dropout)
    history = fit(
        model,
        cross_entropy,
        loader(train, batch_size, shuffle=True, seed=seed),
        epochs=epochs,
        lr=lr,
        weight_decay=weight_decay,
        precision=precision,
        progress=progress,
    )
    return Trained(model, history, predict(model, loader(test, 256)))


def settings(config: Any) -> dict[str, Any]:
    """What a recipe's `Config` says of the options of `train_classifier`, by name."""
    names = ("epochs", "batch_size", "lr", "weight_decay", "dropout", "precision", "seed")
    return {name: getattr(config, name) for name in names if hasattr(config, name)}
