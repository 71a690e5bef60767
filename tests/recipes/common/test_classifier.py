import torch

from mmtutor.data import Dataset
from mmtutor.encoders import FeatureEncoder
from mmtutor.evaluation.efficiency import parameters
from mmtutor.recipes.common import TrainConfig
from mmtutor.recipes.common.classifier import train_classifier


def two_heaps(n: int, seed: int) -> Dataset:
    generator = torch.Generator().manual_seed(seed)
    label = torch.arange(n) % 2
    x = torch.randn(n, 3, generator=generator) + 4 * label.unsqueeze(1)
    return Dataset({"image_features": x, "label": label})


def test_it_learns_what_can_be_learned_and_not_what_cannot():
    train, test = two_heaps(256, 0), two_heaps(100, 1)
    config = TrainConfig(epochs=8, batch_size=32, lr=0.1)
    good = train_classifier(config, FeatureEncoder(3), train, test, 2)
    assert good.metrics["accuracy"]["estimate"] > 0.95
    assert good.metrics["parameters"] == parameters(good.model) == 8
    guess = [data.with_column("label", torch.randint(2, (len(data),))) for data in (train, test)]
    blind = train_classifier(config, FeatureEncoder(3), *guess, 2)
    assert blind.metrics["accuracy"]["estimate"] < 0.8


def test_the_seed_decides_everything():
    train, test = two_heaps(64, 0), two_heaps(10, 1)
    config = TrainConfig(epochs=1, batch_size=128, seed=3)
    one, other = (train_classifier(config, FeatureEncoder(3), train, test, 2) for _ in range(2))
    assert one.history.loss == other.history.loss
    assert one.test.logits.tolist() == other.test.logits.tolist()
