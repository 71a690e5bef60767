"""ConSE and the head that learns on top of it, against tensors worked out by hand."""

import pytest
import torch
from torch import nn

from mmtutor.models.zero_shot import ConSE, ResidualHead


def classifier(weight: torch.Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    layer.weight.data, layer.bias.data = weight, torch.zeros(len(weight))
    return layer


def test_conse_is_the_mean_of_class_vectors_weighted_by_belief():
    conse = ConSE(classifier(torch.eye(2)), torch.tensor([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]]))
    log3 = torch.tensor(3.0).log()
    out = conse(torch.stack([torch.zeros(2), torch.stack([log3, torch.tensor(0.0)])]))
    expected = torch.tensor([[0.5, 1.0, 0.0], [0.75, 0.5, 0.0]])
    torch.testing.assert_close(out, expected)


def test_a_high_temperature_spreads_the_belief_evenly():
    conse = ConSE(classifier(torch.eye(2)), torch.eye(2), temperature=1e6)
    torch.testing.assert_close(conse(torch.tensor([[9.0, -9.0]])), torch.full((1, 2), 0.5))


def test_conse_trains_nothing_and_keeps_its_own_copy_of_the_classifier():
    layer = classifier(torch.eye(2))
    conse = ConSE(layer, torch.eye(2))
    layer.weight.data.zero_()
    assert list(conse.parameters()) == []
    assert conse(torch.tensor([[9.0, 0.0]]))[0, 0] > 0.99


@pytest.mark.parametrize(
    ("vectors", "temperature", "message"),
    [
        (torch.eye(3), 1.0, r"class_vectors must be \(2, D\)"),
        (torch.eye(2), 0.0, "temperature must be in"),
    ],
)
def test_conse_refuses_what_does_not_fit(vectors, temperature, message):
    with pytest.raises(ValueError, match=message):
        ConSE(classifier(torch.eye(2)), vectors, temperature)


def test_a_residual_head_begins_exactly_at_its_start():
    head = ResidualHead(nn.Identity(), 3, 3)
    x = torch.tensor([[3.0, 0.0, 4.0]])
    torch.testing.assert_close(head(x), torch.tensor([[0.6, 0.0, 0.8]]))


def test_the_correction_sees_its_input_at_unit_length_and_is_all_that_learns():
    head = ResidualHead(nn.Identity(), 2, 2)
    head.correction.weight.data = torch.eye(2)
    torch.testing.assert_close(head(torch.tensor([[0.0, 7.0]])), torch.tensor([[0.0, 2.0]]))
    head(torch.randn(4, 2)).sum().backward()
    assert {n for n, p in head.named_parameters() if p.grad is not None} == {
        "correction.weight",
        "correction.bias",
    }
