"""Planted faults do what they say, and nothing else."""

import torch
from torch import nn

from mmtutor.models import ClassifierOutput
from mmtutor.recipes.scorecard.planted_faults import GroupBiased, SaturatedLogits


class Given(nn.Module):
    def forward(self, batch):
        return ClassifierOutput(batch["logits"])


BATCH = {"logits": torch.tensor([[3.0, 1.0, 2.0], [0.0, 5.0, 4.0]]), "group": torch.tensor([0, 1])}


def test_a_biased_model_gives_its_second_best_answer_to_one_group():
    logits = GroupBiased(Given(), "group", 1)(BATCH).logits
    assert torch.equal(logits[0], BATCH["logits"][0])
    assert logits[1].tolist() == [0, 4, 5]
    without = {"logits": BATCH["logits"]}
    assert torch.equal(GroupBiased(Given(), "group")(without).logits, BATCH["logits"])


def test_saturation_changes_no_answer():
    logits = SaturatedLogits(Given(), 10)(BATCH).logits
    assert torch.equal(logits, 10 * BATCH["logits"])
