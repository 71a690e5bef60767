from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F

from mmtutor.losses.noisy_labels import (
    CoTeaching,
    GeneralisedCrossEntropy,
    SmallLoss,
    _mean_of_smallest,
    inverse_frequency,
    weighted_cross_entropy,
)
from mmtutor.models import ClassifierOutput


class Pair(NamedTuple):
    logits: torch.Tensor
    pair: torch.Tensor


@pytest.fixture
def case():
    torch.manual_seed(0)
    logits = (3 * torch.randn(10, 4)).requires_grad_()
    return logits, {"label": torch.randint(4, (10,))}


def test_generalised_cross_entropy_by_hand():
    logits = torch.tensor([[0.0, 0.0], [0.0, 3.0**0.5]]).exp().log()  # p = 1/2 and known
    p = logits.softmax(dim=1)[torch.arange(2), torch.tensor([0, 1])]
    found = GeneralisedCrossEntropy(0.5)(ClassifierOutput(logits), {"label": torch.tensor([0, 1])})
    torch.testing.assert_close(found, ((1 - p.sqrt()) / 0.5).mean())


def test_generalised_cross_entropy_lies_between_two_losses(case):
    logits, batch = case
    output = ClassifierOutput(logits)
    p = logits.softmax(dim=1).gather(1, batch["label"][:, None])
    torch.testing.assert_close(GeneralisedCrossEntropy(1.0)(output, batch), (1 - p).mean())
    near = GeneralisedCrossEntropy(1e-6)(output, batch)
    torch.testing.assert_close(near, F.cross_entropy(logits, batch["label"]), rtol=1e-4, atol=1e-4)


def test_a_label_that_is_surely_wrong_pulls_no_harder():
    logits = torch.tensor([[20.0, 0.0], [0.5, 0.0]], requires_grad=True)
    batch = {"label": torch.tensor([1, 1])}
    pulls = {}
    for name, loss in (
        ("robust", GeneralisedCrossEntropy()(ClassifierOutput(logits), batch)),
        ("plain", F.cross_entropy(logits, batch["label"])),
    ):
        pulls[name] = torch.autograd.grad(loss, logits)[0].norm(dim=1)
    assert pulls["plain"][0] > pulls["plain"][1]
    assert pulls["robust"][0] < 1e-3 * pulls["robust"][1]


def test_sure_and_right_or_wrong_stays_finite():
    logits = torch.tensor([[500.0, 0.0], [0.0, 500.0]], requires_grad=True)
    loss = GeneralisedCrossEntropy()(ClassifierOutput(logits), {"label": torch.tensor([0, 0])})
    assert loss.item() == pytest.approx(1 / 1.4)
    assert torch.autograd.grad(loss, logits)[0].isfinite().all()


def test_smallest_by_hand():
    loss = torch.tensor([3.0, 1.0, 2.0, 9.0])
    other = torch.tensor([8.0, 4.0, 2.0, 1.0])
    assert _mean_of_smallest(loss, loss, 0.5) == (1 + 2) / 2
    assert _mean_of_smallest(loss, loss, 0.76) == (1 + 2 + 3) / 3
    assert _mean_of_smallest(loss, loss, 0.01) == 1
    assert _mean_of_smallest(loss, loss, 1.0) == (1 + 2 + 3 + 9) / 4
    assert _mean_of_smallest(other, loss, 0.5) == (4 + 2) / 2


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_a_loss_that_is_nan_is_not_left_out(share):
    loss = torch.tensor([3.0, 1.0, torch.nan])
    assert _mean_of_smallest(loss, loss, share).isnan()


def test_small_loss_lets_go_step_by_step(case):
    logits, batch = case
    each = F.cross_entropy(logits, batch["label"], reduction="none").sort().values
    objective = SmallLoss(keep=0.6, warmup=4)
    for kept in (9, 8, 7, 6, 6, 6):
        found = objective(ClassifierOutput(logits), batch)
        torch.testing.assert_close(found, each[:kept].mean())
    objective.eval()
    assert objective(ClassifierOutput(logits), batch).item() == pytest.approx(
        each[:6].mean().item()
    )
    assert objective.steps == 6
    gradient = torch.autograd.grad(found, logits)[0]
    assert (gradient.abs().sum(dim=1) > 0).sum() == 6


def test_each_network_is_taught_by_the_other(case):
    one, batch = case
    two = torch.randn(10, 4, requires_grad=True)
    objective = CoTeaching(keep=0.5, warmup=1)
    loss = objective(Pair(one + two, torch.stack([one, two])), batch)
    a, b = (F.cross_entropy(x, batch["label"], reduction="none") for x in (one, two))
    expected = (a[b.argsort()[:5]].mean() + b[a.argsort()[:5]].mean()) / 2
    torch.testing.assert_close(loss, expected)
    taught = torch.autograd.grad(loss, one)[0].abs().sum(dim=1) > 0
    assert set(taught.nonzero()[:, 0].tolist()) == set(b.argsort()[:5].tolist())


def test_weights_by_hand(case):
    logits, batch = case
    weight = torch.arange(10.0)
    each = F.cross_entropy(logits, batch["label"], reduction="none")
    found = weighted_cross_entropy(ClassifierOutput(logits), batch | {"weight": weight})
    torch.testing.assert_close(found, (weight * each).sum() / 10)
    with pytest.raises(KeyError, match="lacks weight"):
        weighted_cross_entropy(ClassifierOutput(logits), batch)
    kinds = torch.tensor([7, 7, 7, 2])
    torch.testing.assert_close(inverse_frequency(kinds), torch.tensor([2 / 3, 2 / 3, 2 / 3, 2.0]))
    assert inverse_frequency(torch.randint(5, (100,))).mean().item() == pytest.approx(1, abs=1e-5)


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match=r"q must be in \(0, 1\], got 0"):
        GeneralisedCrossEntropy(0)
    with pytest.raises(ValueError, match=r"keep must be in \(0, 1\], got 0"):
        SmallLoss(0, 1)
    with pytest.raises(ValueError, match="warmup must be a whole number of at least 1, got 0"):
        CoTeaching(0.5, 0)
