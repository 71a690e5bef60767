"""Muon beside AdamW: who moves what, and both saved and gone on with as one."""

import copy

import pytest
import torch
from torch import nn

from mmtutor.training.muon import make_muon


def reader():
    torch.manual_seed(0)
    return nn.Sequential(nn.Embedding(10, 8), nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 10))


def steps(net, optimizer, count):
    ids = torch.arange(10)
    for _ in range(count):
        nn.functional.cross_entropy(net(ids), ids).backward()
        optimizer.step()
        optimizer.zero_grad()
    return net.state_dict()


def test_muon_has_the_matrices_of_layers_and_adamw_all_else():
    net = reader()
    muon, adamw = make_muon(net, lr=0.01, weight_decay=0.5).param_groups
    assert [p.shape for p in muon["params"]] == [(16, 8), (10, 16)]
    assert [p.shape for p in adamw["params"]] == [(10, 8), (16,), (10,)]
    assert (muon["weight_decay"], adamw["weight_decay"]) == (0.5, 0.0)
    before = net[1].weight.detach().clone()
    stepped = steps(net, make_muon(net, lr=0.01, weight_decay=0.0), 1)["1.weight"] - before
    values = torch.linalg.svdvals(stepped)
    assert values.min() > 0.5 * values.max() > 0  # all directions move, about alike
    assert stepped.square().mean().sqrt() == pytest.approx(0.2 * 0.01, rel=0.25)


def test_several_optimisers_are_saved_and_go_on_as_one():
    straight, resumed = reader(), reader()
    expected = steps(straight, make_muon(straight, 0.01, 0.1), 6)
    first = make_muon(resumed, 0.01, 0.1)
    steps(resumed, first, 3)
    second = make_muon(resumed, 0.5, 0.1)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    found = steps(resumed, second, 3)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_muon_is_refused_where_there_is_nothing_for_it():
    with pytest.raises(ValueError, match="linear layers and other parameters"):
        make_muon(nn.Embedding(3, 2), 0.01, 0.0)
