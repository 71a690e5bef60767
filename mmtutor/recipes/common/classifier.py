"""Training and testing one classifier: what many recipes and pages share.

Knows one encoder, one training set and one test set. Does not know any data set or encoder.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import nn

from mmtutor.data import Dataset
from mmtutor.evaluation.efficiency import parameters
from mmtutor.evaluation.predict import Predictions, predict
from mmtutor.losses import cross_entropy
from mmtutor.models import Classifier
from mmtutor.recipes.common.config import TrainConfig
from mmtutor.recipes.common.result import Result
from mmtutor.recipes.common.training import train
from mmtutor.training import History


class Trained(NamedTuple):
    """One classifier after training: the model, how it went, and its answers on the test set."""

    model: nn.Module
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

    def result(self, config: TrainConfig, **metrics: Any) -> Result:
        """As a recipe returns it, with further `metrics`."""
        return Result(self.metrics | metrics, self.history, self.model, config)


def train_classifier(
    config: TrainConfig,
    encoder: nn.Module,
    data: Dataset,
    test: Dataset,
    classes: int,
    dropout: float = 0.0,
    progress: bool = False,
    **options: Any,
) -> Trained:
    """Train `encoder` with a linear layer on `data`, then predict `test` once.

    Both data sets have a column `label` int64 in [0, classes) and the encoder's modality. The seed
    of `config` orders the batches and draws the linear layer; the encoder comes as it is.
    `options` are further ones of `training.fit`.
    """
    torch.manual_seed(config.seed)
    model = Classifier(encoder, classes, dropout)
    history = train(config, model, cross_entropy, data, progress, **options)
    return Trained(model, history, predict(model, test))
