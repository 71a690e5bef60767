"""The short loop against numbers worked out by hand, and `fit` against the short loop."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from mmtutor.data import Dataset, loader
from mmtutor.encoders import SmallCNN, SmallTransformer
from mmtutor.losses import ContrastiveObjective, cross_entropy
from mmtutor.models import Classifier, DualEncoder
from mmtutor.training import fit, train

PLAIN = {"schedule": "constant", "warmup": 0.0, "clip_norm": None, "precision": "fp32"}


class Slope(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.tensor(0.0))

    def forward(self, batch):
        return self.w * batch["x"]


def halves(output, batch):
    """Half the squared error of one example: its gradient is (w x - y) x."""
    return (output - batch["y"]).square().sum() / 2


def test_two_steps_by_hand():
    model = Slope()
    one, other = ({"x": torch.tensor([x]), "y": torch.tensor([2.0])} for x in (1.0, 2.0))
    losses = train(model, halves, [one, other], torch.optim.SGD(model.parameters(), lr=0.5))
    # w = 0: loss 4/2, slope -2, so w = 1. Then w x = y: loss 0, slope 0, and w stays.
    assert losses == [2.0, 0.0]
    assert model.w.item() == 1.0


def test_gradients_do_not_pile_up_and_every_epoch_sees_every_batch():
    model = Slope()
    batch = {"x": torch.tensor([1.0]), "y": torch.tensor([1.0])}
    losses = train(model, halves, [batch], torch.optim.SGD(model.parameters(), lr=0.5), epochs=3)
    assert losses == [1 / 2, 1 / 8, 1 / 32]  # the error halves; with piled-up slopes it would not
    assert all(p.grad is None for p in model.parameters())


def test_it_trains_in_train_mode_and_leaves_eval_mode():
    modes = []

    class Watched(Slope):
        def forward(self, batch):
            modes.append(self.training)
            return super().forward(batch)

    model = Watched().eval()
    train(
        model,
        halves,
        [{"x": torch.ones(1), "y": torch.ones(1)}],
        torch.optim.SGD(model.parameters()),
    )
    assert modes == [True]
    assert not model.training


def pictures():
    """A classifier on a convolutional encoder: batch normalisation, and dropout in the head."""
    return Classifier(SmallCNN(8, 8), 3, dropout=0.5), cross_entropy


def pairs():
    """Two towers and an objective that learns a temperature of its own."""
    towers = SmallCNN(8, 8), SmallTransformer(11, 8, depth=1, heads=2)
    return DualEncoder(*towers, nn.Linear(8, 4), nn.Linear(8, 4)), ContrastiveObjective("sigmoid")


def words():
    """A Transformer with dropout in every layer."""
    return Classifier(SmallTransformer(11, 8, depth=2, heads=2, dropout=0.3), 3), cross_entropy


def batches():
    draw = torch.Generator().manual_seed(0)
    columns = {
        "image": torch.randint(0, 256, (20, 3, 16, 16), generator=draw, dtype=torch.uint8),
        "tokens": [torch.randint(1, 11, (3 + i % 4,), generator=draw) for i in range(20)],
        "label": torch.arange(20) % 3,
    }
    return loader(Dataset(columns), 8, shuffle=True, seed=3)  # the last batch is smaller


@pytest.mark.parametrize("make", [pictures, pairs, words])
@pytest.mark.parametrize(
    "optimizer", [lambda p: torch.optim.SGD(p, 0.1, 0.9), lambda p: torch.optim.AdamW(p, 0.01)]
)
def test_fit_without_its_extras_trains_the_same_weights(make, optimizer):
    trained = []
    for loop in ("train", "fit"):
        torch.manual_seed(0)
        model, objective = make()
        both = nn.ModuleList([model, objective] if isinstance(objective, nn.Module) else [model])
        before = deepcopy(both.state_dict())
        step = optimizer(both.parameters())
        torch.manual_seed(1)  # for dropout
        if loop == "train":
            losses = train(model, objective, batches(), step, epochs=3)
        else:
            options = {"epochs": 3, "optimizer": step, "progress": False}
            losses = fit(model, objective, batches(), **PLAIN, **options).loss
        assert not torch.equal(_flat(both.state_dict()), _flat(before))
        trained.append((losses, both.state_dict(), model.training))
    (losses, weights, mode), (other_losses, other_weights, other_mode) = trained
    assert losses == other_losses
    assert len(losses) == 9
    assert mode is other_mode is False
    for name, tensor in weights.items():
        assert torch.equal(tensor, other_weights[name]), name


def _flat(state):
    return torch.cat([tensor.double().flatten() for tensor in state.values()])
