"""A small regression problem that the tests of `fit` share."""

import torch
from torch import nn

from mmtutor.data import Dataset, loader
from mmtutor.training import fit


class Regression(nn.Module):
    """A small model with dropout, so that a lost random state shows."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(3, 16), nn.Tanh(), nn.Dropout(dropout), nn.Linear(16, 1)
        )

    def forward(self, batch):
        return self.layers(batch["x"]).squeeze(-1)


def squared_error(output, batch):
    return (output - batch["y"]).square().mean()


def data(n=16, batch_size=4, **options):
    x = torch.randn(n, 3, generator=torch.Generator().manual_seed(0))
    return loader(Dataset({"x": x, "y": x[:, 0] * x[:, 1]}), batch_size, **options)


def model(dropout=0.0):
    torch.manual_seed(0)
    return Regression(dropout)


def run(net, batches, epochs=2, **options):
    return fit(net, squared_error, batches, epochs=epochs, progress=False, **options)
