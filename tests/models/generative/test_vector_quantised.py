"""The codebook by hand: the nearest code, where gradients go, and what becomes of dead codes."""

from types import SimpleNamespace

import pytest
import torch

from mmtutor.encoders import EdgeCNN
from mmtutor.losses.quantisation import quantised
from mmtutor.models.generative import VectorQuantisedAutoencoder, VectorQuantiser


def book(*codes, patience=None):
    quantiser = VectorQuantiser(len(codes), 2, patience)
    quantiser.codebook.data = torch.tensor(codes)
    return quantiser


def test_each_vector_is_exchanged_for_the_nearest_code():
    torch.manual_seed(0)
    quantiser, x = VectorQuantiser(7, 3).eval(), torch.randn(2, 5, 3)
    found = quantiser(x)
    for b in range(2):
        for n in range(5):
            gaps = [(x[b, n] - code).norm().item() for code in quantiser.codebook]
            assert found.index[b, n] == gaps.index(min(gaps))
            torch.testing.assert_close(found.code[b, n], quantiser.codebook[found.index[b, n]])
    torch.testing.assert_close(found.passed, found.code)


def test_the_gradient_passes_straight_through_and_does_not_reach_the_codebook():
    quantiser = book([0.0, 0.0], [1.0, 1.0])
    x = torch.tensor([[[0.2, 0.1], [0.9, 1.3]]], requires_grad=True)
    weight = torch.tensor([[[1.0, -2.0], [3.0, 0.5]]])
    (quantiser(x).passed * weight).sum().backward()
    torch.testing.assert_close(x.grad, weight)
    assert quantiser.codebook.grad is None


def test_codebook_and_commitment_loss_pull_the_two_towards_each_other():
    quantiser = book([0.0, 0.0], [1.0, 1.0])
    x = torch.tensor([[[0.2, 0.1], [0.9, 1.3]]], requires_grad=True)
    found = quantiser(x)
    picture = torch.zeros(1, 3, 8, 8)
    drawing = {"drawn": picture + 0.5, "target": picture}
    output = SimpleNamespace(**drawing, read=x, code=found.code)
    loss = quantised(output, commitment=0.25)
    gaps = (0.04 + 0.01) + (0.01 + 0.09)  # squared distances of both vectors to their codes
    assert loss.item() == pytest.approx((192 * 0.25 + 1.25 * gaps) / 2)
    loss.backward()
    torch.testing.assert_close(quantiser.codebook.grad, torch.tensor([[-0.2, -0.1], [0.1, -0.3]]))
    towards = 0.25 * torch.tensor([[[0.2, 0.1], [-0.1, 0.3]]])
    torch.testing.assert_close(x.grad, towards)


def test_a_code_that_nobody_chooses_begins_anew_where_it_is_needed():
    quantiser = book([0.0, 0.0], [50.0, 50.0], patience=3).train()
    quantiser.idle[:] = 0
    x = torch.tensor([[[0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [5.0, 5.0]]])
    for _ in range(3):
        assert quantiser(x).index.tolist() == [[0, 0, 0, 0]]
    assert quantiser.idle.tolist() == [0, 3]
    found = quantiser(x)
    assert quantiser.codebook[1].tolist() == [5, 5], "the vector that no code was near"
    assert found.index.tolist() == [[0, 0, 0, 1]]
    assert quantiser.idle.tolist() == [0, 0]


def test_nothing_is_revived_without_patience_or_in_evaluation():
    x = torch.randn(2, 4, 2)
    for quantiser in (
        book([9.0, 9.0], [8.0, 8.0]),
        book([9.0, 9.0], [8.0, 8.0], patience=1).eval(),
    ):
        before = quantiser.codebook.detach().clone()
        quantiser(x)
        quantiser(x)
        torch.testing.assert_close(quantiser.codebook.detach(), before)


def test_in_the_beginning_all_codes_become_vectors_that_came():
    torch.manual_seed(0)
    quantiser, x = VectorQuantiser(6, 2).train(), torch.randn(3, 4, 2)
    quantiser(x)
    assert torch.cdist(quantiser.codebook, x.flatten(0, 1)).amin(dim=1).max() < 1e-5


@pytest.fixture
def small():
    torch.manual_seed(0)
    return VectorQuantisedAutoencoder(EdgeCNN(8, 4), codes=12, dim=4, width=8)


def test_what_is_drawn_depends_on_nothing_but_the_numbers(small):
    small.eval()
    image = torch.rand(2, 3, 32, 32)
    output = small({"image": image})
    assert output.index.shape == (2, 16)
    assert output.target is image
    torch.testing.assert_close(small.draw(output.index), output.drawn.clamp(0, 1))


def test_all_parts_learn(small):
    small.train()
    quantised(small({"image": torch.rand(4, 3, 32, 32)})).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in small.parameters())


def test_wrong_input_is_named(small):
    with pytest.raises(KeyError, match="image"):
        small({})
    with pytest.raises(ValueError, match="index"):
        small.draw(torch.full((1, 4), 12))
    with pytest.raises(ValueError, match="square of codes"):
        small.draw(torch.zeros(1, 5, dtype=torch.int64))
    with pytest.raises(ValueError, match="x must be"):
        small.quantiser(torch.rand(2, 3, 5))
    with pytest.raises(ValueError, match="patience"):
        VectorQuantiser(4, 2, 0)
