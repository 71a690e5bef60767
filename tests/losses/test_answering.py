"""Losses of question answering, each against its definition written out."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmtutor.losses import cross_entropy
from mmtutor.losses.answering import (
    attribute_cross_entropy,
    cell_cross_entropy,
    grounded,
    product_of_experts,
    reweighted,
)
from mmtutor.models import ClassifierOutput
from mmtutor.models.grid_detector import ATTRIBUTES, _CellLogits
from mmtutor.models.grounded_classifier import _GroundedOutput


def test_an_expert_that_knows_leaves_nothing_to_learn():
    label, logits = torch.tensor([1, 0]), torch.zeros(2, 3, requires_grad=True)
    sure = torch.full((2, 3), -30.0)
    sure[0, 1] = 0.0  # the first answer is given away, the second is as good as excluded
    sure[1, 1] = 0.0
    batch = {"label": label, "bias": sure.log_softmax(1)}
    product_of_experts(ClassifierOutput(logits), batch).backward()
    assert logits.grad[0].abs().max() < 1e-6 < 0.4 < logits.grad[1].abs().max()


def test_reweighting_forgets_what_is_given_away():
    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    bias = torch.tensor([[1.0, 0.0], [0.5, 0.5]]).clamp(min=1e-9).log()
    batch = {"label": torch.tensor([0, 0]), "bias": bias}
    expected = nn.functional.cross_entropy(logits[1:], torch.tensor([0]))
    torch.testing.assert_close(reweighted(ClassifierOutput(logits), batch), expected)


@pytest.mark.parametrize("loss", [product_of_experts, reweighted])
def test_a_remedy_without_a_bias_is_refused(loss):
    with pytest.raises(KeyError, match="the batch lacks bias"):
        loss(ClassifierOutput(torch.zeros(2, 3)), {"label": torch.tensor([0, 1])})


def test_the_loss_of_cells_is_three_cross_entropies():
    torch.manual_seed(0)
    output = _CellLogits(*(torch.randn(2, 9, size) for size in ATTRIBUTES.values()))
    truth = torch.stack([torch.randint(size, (2, 9)) for size in ATTRIBUTES.values()], dim=-1)
    losses = [
        -z.log_softmax(-1)[i, cell, truth[i, cell, kind]]
        for kind, z in enumerate(output)
        for i in range(2)
        for cell in range(9)
    ]
    expected = torch.stack(losses).view(3, -1).mean(dim=1).sum()
    torch.testing.assert_close(cell_cross_entropy(output, {"cells": truth}), expected)


def test_the_loss_of_attributes_is_a_sum_of_yes_and_no():
    logits, kinds = torch.tensor([[0.0, 2.0], [-1.0, 0.5]]), torch.tensor([[1.0, 0], [0, 1]])
    p = logits.sigmoid()
    expected = -(kinds * p.log() + (1 - kinds) * (1 - p).log()).sum(dim=1).mean()
    torch.testing.assert_close(attribute_cross_entropy(logits, {"kinds": kinds}), expected)
    with pytest.raises(KeyError, match="the batch lacks kinds"):
        attribute_cross_entropy(logits, {})


def outputs() -> tuple[_GroundedOutput, dict[str, torch.Tensor]]:
    torch.manual_seed(0)
    output = _GroundedOutput(torch.randn(4, 5), torch.randn(4, 3, 9))
    batch = {"label": torch.tensor([0, 3, 1, 4]), "bias": torch.randn(4, 5).log_softmax(1)}
    return output, {**batch, "attention_target": (torch.rand(4, 2, 9) > 0.7).float()}


def test_grounding_counts_every_told_head_and_cell():
    output, batch = outputs()
    gates, target = output.gates.sigmoid().double(), batch["attention_target"].double()
    missed = sum(
        -torch.log(gates[b, h, n] if target[b, h, n] else 1 - gates[b, h, n])
        for b in range(4)
        for h in range(2)
        for n in range(9)
    )
    expected = cross_entropy(output, batch) + 0.5 * missed / (4 * 2 * 9)
    torch.testing.assert_close(grounded(output, batch, 0.5).double(), expected.double())


def test_who_is_not_told_is_not_judged_by_it():
    output, batch = outputs()
    plain = cross_entropy(output, batch)
    assert grounded(output, batch, 0.0).equal(plain)
    del batch["attention_target"]
    assert grounded(output, batch, 3.0).equal(plain)


@pytest.mark.parametrize("loss", [product_of_experts, reweighted])
def test_grounding_adds_to_any_loss_of_the_answer(loss):
    output, batch = outputs()
    gates = output.gates[:, :2]
    told = F.binary_cross_entropy_with_logits(gates, batch["attention_target"])
    found = grounded(output, batch, 2.0, answer_loss=loss)
    torch.testing.assert_close(found, loss(output, batch) + 2 * told)
