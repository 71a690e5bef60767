"""Small inputs on which public losses, training loops and reports of other projects went wrong."""

from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mmtutor.data import Dataset, loader
from mmtutor.losses import ContrastiveObjective, cross_entropy
from mmtutor.losses.noisy_labels import (
    GeneralisedCrossEntropy,
    SmallLoss,
    weighted_cross_entropy,
)
from mmtutor.notebook import check
from mmtutor.recipes.common.result import plain
from mmtutor.training import fit
from tests.cases.outcome import outcome


class Logits(NamedTuple):
    logits: Tensor


class Pair(NamedTuple):
    image: Tensor
    text: Tensor


@pytest.mark.parametrize(
    "loss",
    [cross_entropy, GeneralisedCrossEntropy(), SmallLoss(0.5, 1)],
    ids=["cross_entropy", "generalised", "small_loss"],
)
def test_a_label_that_other_libraries_ignore(loss):
    torch.manual_seed(0)
    output, batch = Logits(torch.randn(4, 3)), {"label": torch.tensor([0, -100, -100, 2])}
    assert outcome(lambda: loss(output, batch))[0]


def test_weights_of_another_shape():
    torch.manual_seed(0)
    output, label = Logits(torch.randn(4, 3)), torch.tensor([0, 1, 2, 0])
    weight = torch.tensor([1.0, 2, 3, 4])
    right = weighted_cross_entropy(output, {"label": label, "weight": weight})
    batch = {"label": label, "weight": weight[:, None]}
    refused, got = outcome(lambda: weighted_cross_entropy(output, batch))
    assert refused or torch.allclose(got, right)


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 3)

    def forward(self, batch):
        return Logits(self.linear(batch["x"]))


class TwoTowers(Classifier):
    def forward(self, batch):
        return Pair(self.linear(batch["x"]), batch["x"][:, :3])


def examples():
    torch.manual_seed(0)
    return loader(Dataset({"x": torch.randn(12, 4), "label": torch.randint(3, (12,))}), 4)


def test_the_optimizer_of_another_model():
    model, other = Classifier(), Classifier()
    before = model.linear.weight.clone()
    optimizer = torch.optim.SGD(other.parameters(), lr=1.0)
    refused, _ = outcome(
        lambda: fit(model, cross_entropy, examples(), epochs=2, optimizer=optimizer, progress=False)
    )
    assert refused or not torch.equal(before, model.linear.weight)


def test_an_optimizer_without_the_objectives_own_parameters():
    model, objective = TwoTowers(), ContrastiveObjective()
    before = objective.log_scale.item()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    refused, _ = outcome(
        lambda: fit(model, objective, examples(), epochs=2, optimizer=optimizer, progress=False)
    )
    assert refused or objective.log_scale.item() != before


@pytest.mark.parametrize("scale", [0, -1.0, 1000.0])
def test_a_first_scale_that_cannot_be(scale):
    refused, got = outcome(lambda: ContrastiveObjective(init_scale=scale))
    assert refused
    assert "init_scale" in got


def test_metrics_that_are_numpy_numbers():
    metrics = {
        "f": np.float32(0.5),
        "i": np.int64(3),
        "b": np.bool_(True),
        "a": np.array([1.0, 2.0]),
        "nan": np.float32("nan"),
    }
    assert plain(metrics) == {"f": 0.5, "i": 3, "b": True, "a": [1.0, 2.0], "nan": None}


def said(answer, expected):
    try:
        check(answer, expected)
    except AssertionError as error:
        return str(error)
    return "Correct"


@pytest.mark.parametrize(
    ("answer", "expected"), [(torch.tensor([3, 4]), 3), (np.array([1, 2]), "a")]
)
def test_an_answer_of_another_type(answer, expected):
    assert said(answer, expected).startswith("Not yet")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [(torch.tensor([1, 2]), [1, 2]), ([1.0, 2.0], torch.tensor([1.0, 2.0]))],
)
def test_an_answer_in_another_container(answer, expected):
    assert said(answer, expected).startswith(("Not yet", "Correct"))
