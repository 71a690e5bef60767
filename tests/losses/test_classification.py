import math

import pytest
import torch

from mmtutor.losses import cross_entropy
from mmtutor.models import ClassifierOutput


def test_equal_logits_cost_the_log_of_the_number_of_classes():
    loss = cross_entropy(ClassifierOutput(torch.zeros(2, 5)), {"label": torch.tensor([0, 3])})
    assert loss.item() == pytest.approx(math.log(5))


def test_a_hand_computed_case():
    logits = torch.tensor([[0.0, math.log(3)]])  # probabilities 1/4 and 3/4
    loss = cross_entropy(ClassifierOutput(logits), {"label": torch.tensor([0])})
    assert loss.item() == pytest.approx(math.log(4))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_extreme_logits_in_half_precision_stay_finite(dtype):
    logits = torch.tensor([[1e4, -1e4]], dtype=dtype, requires_grad=True)
    loss = cross_entropy(ClassifierOutput(logits), {"label": torch.tensor([1])})
    loss.backward()
    assert loss.item() == pytest.approx(2e4, rel=0.01)
    assert torch.isfinite(logits.grad).all()


def test_bad_input_is_named():
    with pytest.raises(KeyError, match="lacks label"):
        cross_entropy(ClassifierOutput(torch.zeros(2, 3)), {})
    with pytest.raises(ValueError, match=r"\(2, 3\) and \(3,\)"):
        cross_entropy(ClassifierOutput(torch.zeros(2, 3)), {"label": torch.zeros(3).long()})
