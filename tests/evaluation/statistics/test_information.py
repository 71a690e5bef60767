import math

import pytest
import torch

from mmtutor.data.synthetic.bits import QUESTIONS, joint
from mmtutor.evaluation.statistics.information import (
    decompose,
    invisible_to_sums,
    mutual_information,
)

LOG3 = math.log2(3)
AND = 2 - 0.75 * LOG3  # H(y) of "and", in bits


@pytest.mark.parametrize(
    ("task", "atoms"),
    [
        ("unique", (0, 1, 0, 0)),
        ("redundant", (1, 0, 0, 0)),
        ("xor", (0, 0, 0, 1)),
        ("and", (AND - 0.5, 0, 0, 0.5)),  # Williams and Beer (2010), and many since
        ("copy", (1, 0, 0, 1)),  # what Harder et al. (2013) object to
        ("redundant + xor", (1, 0, 0, 1)),
        ("unique + xor", (0, 1, 0, 1)),
    ],
)
def test_atoms_in_closed_form(task, atoms):
    assert decompose(joint(task)) == pytest.approx(atoms, abs=1e-9)


@pytest.mark.parametrize("task", QUESTIONS)
def test_atoms_sum_to_the_whole_and_swap_with_the_modalities(task):
    p = joint(task)
    one, other = decompose(p), decompose(p.transpose(0, 1))
    assert sum(one) == pytest.approx(mutual_information(p.flatten(0, 1)))
    assert one.redundant == pytest.approx(other.redundant)
    assert one.unique1 == pytest.approx(other.unique2, abs=1e-9)


def test_mutual_information_by_hand():
    assert mutual_information(torch.full((2, 3), 1 / 6, dtype=torch.float64)) == pytest.approx(
        0, abs=1e-12
    )
    assert mutual_information(torch.eye(4).double() / 4) == pytest.approx(2)
    noisy = torch.tensor([[0.375, 0.125], [0.125, 0.375]]).double()  # 1 - H(1/4)
    assert mutual_information(noisy) == pytest.approx(1 - (2 - 0.75 * LOG3))


def test_random_atoms_are_not_negative():
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        p = torch.rand(3, 4, 2, generator=generator).double()
        assert min(decompose(p / p.sum())) > -1e-12


@pytest.mark.parametrize(
    ("task", "bits"),
    [("unique", 0), ("redundant", 0), ("copy", 0), ("xor", 1), ("redundant + xor", 1)],
)
def test_what_sums_cannot_see(task, bits):
    assert invisible_to_sums(joint(task)) == pytest.approx(bits, abs=1e-6)


def test_it_is_the_least_cross_entropy_of_an_additive_softmax():
    generator = torch.Generator().manual_seed(0)
    p = torch.rand(3, 3, 2, generator=generator).double()
    p = p / p.sum()
    f, g = torch.zeros(3, 1, 2).double(), torch.zeros(1, 3, 2).double()
    leaves = [f.requires_grad_(), g.requires_grad_()]
    optimizer = torch.optim.LBFGS(leaves, max_iter=500, tolerance_grad=1e-12)

    def cross_entropy():
        optimizer.zero_grad()
        loss = -(p * (f + g).log_softmax(-1)).sum() / torch.tensor(2.0).log()
        loss.backward()
        return loss

    optimizer.step(cross_entropy)
    entropy = -(p * (p / p.sum(-1, keepdim=True)).log2()).sum()
    assert invisible_to_sums(p) == pytest.approx((cross_entropy() - entropy).item(), abs=1e-6)


def test_what_is_no_distribution_is_refused():
    for bad in (torch.ones(2, 2, 2), torch.tensor([[0.5, 0.5]]), -joint("xor")):
        with pytest.raises(ValueError, match="p must be"):
            decompose(bad)
