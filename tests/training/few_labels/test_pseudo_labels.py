"""FixMatch and pseudo-labels against sums by hand."""

import math
from collections import namedtuple

import pytest
import torch
from torch import nn

from mmtutor.training.few_labels import Cutout, FixMatch, TwoViews, pseudo_labels

Output = namedtuple("Output", "logits weak strong")
Scores = namedtuple("Scores", "logits")


def log_p(row, label):
    """-log of the softmax, one exponential after the other."""
    return math.log(sum(math.exp(z) for z in row)) - row[label]


def logits_of(*rows):
    """Logits whose softmax is these probabilities."""
    return torch.tensor(rows, dtype=torch.float64).log()


@pytest.fixture
def output():
    weak = logits_of([0.96, 0.04], [0.94, 0.06], [0.05, 0.95], [0.5, 0.5])
    strong = torch.tensor([[1.0, -1.0], [3.0, 0.0], [0.5, 0.25], [9.0, 0.0]], dtype=torch.float64)
    return Output(torch.tensor([[2.0, 0.0], [0.0, 1.0]], dtype=torch.float64), weak, strong)


LABEL = {"label": torch.tensor([0, 0])}


def test_a_label_counts_from_the_threshold_on(output):
    label, sure = pseudo_labels(output.weak, 0.94)
    assert label.tolist() == [0, 0, 1, 0]
    assert sure.tolist() == [True, True, True, False]
    assert pseudo_labels(output.weak, 0.9400001)[1].tolist() == [True, False, True, False]
    assert pseudo_labels(output.weak, 0.0)[1].all()
    assert not pseudo_labels(output.weak, 1.0)[1].any()


@pytest.mark.parametrize(("threshold", "sure"), [(0.949, (0, 2)), (0.93, (0, 1, 2)), (0.99, ())])
def test_the_loss_is_that_of_the_paper_by_hand(output, threshold, sure):
    guessed = [0, 0, 1, 0]
    labelled = (log_p([2, 0], 0) + log_p([0, 1], 0)) / 2
    others = sum(log_p(output.strong[i].tolist(), guessed[i]) for i in sure) / 4  # of all four
    found = FixMatch(threshold, weight=0.7)(output, LABEL)
    assert found.item() == pytest.approx(labelled + 0.7 * others, abs=1e-12)


def test_no_gradient_reaches_the_view_that_gave_the_label(output):
    weak, strong = (x.clone().requires_grad_() for x in (output.weak, output.strong))
    FixMatch(0.9)(output._replace(weak=weak, strong=strong), LABEL).backward()
    assert weak.grad is None
    assert (strong.grad.abs().sum(1) > 0).tolist() == [True, True, True, False]


def test_the_weight_rises_while_it_trains_and_stays_in_evaluation(output):
    loss = FixMatch(0.0, 1.0, warmup=4)
    full = FixMatch(0.0, 1.0)(output, LABEL).item()
    labelled = FixMatch(0.0, 0.0)(output, LABEL).item()
    found = [loss(output, LABEL).item() for _ in range(6)]
    shares = [(x - labelled) / (full - labelled) for x in found]
    assert shares == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1])
    loss.eval()
    loss.steps.fill_(1)
    assert loss(output, LABEL).item() == pytest.approx(labelled + 0.25 * (full - labelled))
    assert loss.steps == 1


class Mean(nn.Module):
    """Logits that are the mean of the red and the green channel."""

    def forward(self, batch):
        return Scores(batch["image"][:, :2].mean(dim=(2, 3)))


def test_both_views_are_of_the_same_pictures_and_evaluation_changes_nothing():
    model = TwoViews(Mean(), lambda x: x / 2, lambda x: x / 4)
    image = torch.rand(2, 3, 4, 4)
    others = torch.randint(256, (2, 3, 3, 4, 4), dtype=torch.uint8)
    found = model({"image": image, "unlabelled": others})
    torch.testing.assert_close(found.logits, image[:, :2].mean(dim=(2, 3)) / 2)
    own = others.flatten(0, 1)[:, :2].float().mean(dim=(2, 3)) / 255
    torch.testing.assert_close(found.weak, own / 2)
    torch.testing.assert_close(found.strong, own / 4)
    torch.testing.assert_close(model.eval()({"image": image}).logits, image[:, :2].mean(dim=(2, 3)))


def test_cutout_greys_one_square_of_each_picture():
    torch.manual_seed(0)
    image = torch.zeros(200, 3, 12, 12)
    cut = Cutout(4)(image)
    grey = (cut == 0.5).all(dim=1)
    assert torch.equal(grey, (cut != 0).any(dim=1)), "all channels alike"
    assert int(grey.flatten(1).sum(1).max()) == 16
    assert int(grey.flatten(1).sum(1).min()) < 16, "some squares lie across the edge"
    assert grey.any(dim=0).all(), "every pixel is cut sometimes"
    rows, columns = grey.any(dim=2), grey.any(dim=1)
    assert torch.equal(grey, rows[:, :, None] & columns[:, None])
