import pytest
import torch

from mmtutor.data import load
from mmtutor.data.synthetic import bits as information
from mmtutor.data.synthetic.bits import QUESTIONS, answer, classes, joint, worlds


@pytest.mark.parametrize("task", QUESTIONS)
def test_the_table_is_a_distribution_whose_answers_follow_from_both(task):
    p = joint(task)
    assert p.shape == (8, 8, classes(task))
    assert p.sum().item() == pytest.approx(1)
    assert ((p > 0).sum(dim=2) <= 1).all()  # what both show leaves one answer


def test_answers_by_hand():
    world = {
        name: torch.tensor([bit])
        for name, bit in zip(information.BITS, (1, 0, 1, 1, 1), strict=True)
    }
    expected = {
        **{"unique": 1, "redundant": 1, "copy": 3, "and": 1, "xor": 0},
        **{"redundant + xor": 2, "unique + xor": 0},
    }
    assert {task: answer(task, world).item() for task in QUESTIONS} == expected


def test_bits_are_fair_and_independent():
    world = worlds()
    bits = torch.stack(list(world.values()), dim=1).double()
    assert len(bits.unique(dim=0)) == information.WORLDS == len(bits)
    assert (bits.mean(dim=0) == 0.5).all()


def test_every_32_examples_hold_every_world_and_tokens_show_the_bits():
    data = information.load("train", 64, "copy", noise=0.0)
    a, b = data.column("a"), data.column("b")
    assert a.shape == b.shape == (64, 3, 8)
    for half in (slice(0, 32), slice(32, 64)):
        seen = torch.cat([a[half].flatten(1), b[half].flatten(1)], dim=1)
        assert len(seen.unique(dim=0)) == 32
    assert a.norm(dim=2).unique().tolist() == [information.LENGTH]
    first = (a[:, 0].sum(dim=1) > 0).long()
    assert torch.equal(2 * first + (b[:, 0].sum(dim=1) > 0), data.column("label"))
    assert torch.equal(a[:, 2].sum(dim=1) > 0, b[:, 2].sum(dim=1) > 0)  # the bit that both show


def test_seeds_and_splits_differ_and_repeat():
    one = information.load("train", 32, seed=3).column("a")
    assert torch.equal(one, information.load("train", 32, seed=3).column("a"))
    for other in (("test", 3), ("train", 4)):
        assert not torch.equal(one, information.load(other[0], 32, seed=other[1]).column("a"))
    assert (one - information.load("train", 32, noise=0.0).column("a")).std() == pytest.approx(
        0.2, rel=0.1
    )


def test_unknown_names_are_named():
    with pytest.raises(ValueError, match=r"task must be .*, got 'nand'"):
        information.load(task="nand")
    with pytest.raises(ValueError, match=r"split must be .*, got 'dev'"):
        information.load("dev")
    with pytest.raises(ValueError, match=r"noise must be in \[0, inf\), got -1"):
        information.load(noise=-1.0)
    assert callable(load)
