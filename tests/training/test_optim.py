"""Optimisers from their equations against torch.optim and closed forms; what goes round them."""

import pytest
import torch
from torch import nn

from mmtutor.training.optim import (
    SGD,
    Adam,
    AdamW,
    descend,
    learning_rate_factor,
    make_optimizer,
    mixed_precision,
)
from tests.training.problem import data, model, run

PAIRS = [
    (SGD, torch.optim.SGD, {"lr": 0.05}),
    (SGD, torch.optim.SGD, {"lr": 0.05, "momentum": 0.9}),
    (SGD, torch.optim.SGD, {"lr": 0.05, "momentum": 0.8, "weight_decay": 0.1}),
    (Adam, torch.optim.Adam, {"lr": 0.01}),
    (Adam, torch.optim.Adam, {"lr": 0.01, "betas": (0.5, 0.9), "eps": 1e-3, "weight_decay": 0.1}),
    (AdamW, torch.optim.AdamW, {"lr": 0.01}),
    (AdamW, torch.optim.AdamW, {"lr": 0.01, "betas": (0.5, 0.95), "weight_decay": 0.5}),
]
ALL = [SGD, Adam, AdamW]
START = torch.tensor([-1.2, 1.0], dtype=torch.float64)


def valley(x):
    """Rosenbrock's curved valley, scaled: gradients of many sizes."""
    return ((1 - x[0]) ** 2 + 10 * (x[1] - x[0] ** 2) ** 2) / 100


def flat(x):
    return 0 * x.sum()


def path(loss, start, steps, make, **options):
    return descend(loss, start, steps, lambda params: make(params, **options))


@pytest.mark.parametrize(("ours", "theirs", "options"), PAIRS)
def test_paths_equal_the_library(ours, theirs, options):
    one, other = (path(valley, START, 300, make, **options) for make in (ours, theirs))
    assert (one[-1] - START).norm() > 0.3
    torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("ours", "theirs", "options"), PAIRS)
def test_training_with_fit_equals_the_library(ours, theirs, options):
    """Float32, several parameters, a schedule and clipping."""
    nets = [model(), model()]
    for net, make in zip(nets, (ours, theirs), strict=True):
        run(net, data(), epochs=15, optimizer=make(net.parameters(), **options))
    for one, other in zip(*(net.parameters() for net in nets), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("make", "_", "options"), PAIRS)
def test_a_resumed_run_ends_where_the_whole_one_does(make, _, options, tmp_path):
    def train(epochs, **more):
        net = model()
        optimizer = make(net.parameters(), **options)
        run(net, data(), epochs=epochs, warmup=0, schedule="constant", optimizer=optimizer, **more)
        return list(net.parameters())

    train(2, checkpoint=tmp_path)
    resumed = train(4, checkpoint=tmp_path)
    assert all(map(torch.equal, resumed, train(4)))
    assert not any(map(torch.equal, resumed, train(2)))


# closed forms


def test_gradient_descent_on_a_parabola_by_hand():
    """(theta - 1)^2 from 2 at 0.1: 1 + 0.8^t, that is 2, 1.8, 1.64, 1.512 (003:288)."""
    start = torch.tensor(2.0, dtype=torch.float64)
    found = path(lambda x: (x - 1) ** 2, start, 30, SGD, lr=0.1)
    torch.testing.assert_close(found, 1 + 0.8 ** torch.arange(31, dtype=torch.float64))
    assert found[:4].tolist() == pytest.approx([2, 1.8, 1.64, 1.512])


def test_momentum_by_hand():
    """Slope 1, rate 1, momentum 1/2: directions 1, 1.5, 1.75."""
    found = path(lambda x: x, torch.tensor(0.0), 3, SGD, lr=1.0, momentum=0.5)
    assert found.tolist() == [0, -1, -2.5, -4.25]


@pytest.mark.parametrize("slope", [1e-3, 1.0, -1e3])
def test_the_first_step_of_adam_has_the_length_of_the_learning_rate(slope):
    found = path(lambda x: slope * x, torch.tensor(0.0), 1, Adam, lr=0.01)
    assert found[1].item() == pytest.approx(-0.01 if slope > 0 else 0.01, rel=1e-4)


def test_decay_without_gradient():
    """AdamW shrinks by lr * decay; Adam turns the decay into steps of one length."""
    one = torch.tensor(1.0, dtype=torch.float64)
    found = path(flat, one, 50, AdamW, lr=0.01, weight_decay=0.1)
    torch.testing.assert_close(found, 0.999 ** torch.arange(51, dtype=torch.float64))
    for decay in (0.1, 1e-3):
        found = path(flat, one, 50, Adam, lr=0.01, weight_decay=decay)
        assert found[-1].item() == pytest.approx(0.5, abs=0.05)


def test_adam_hardly_sees_the_scale_of_the_loss():
    one, three = (
        path(lambda x, factor=factor: factor * valley(x), START, 100, Adam, lr=0.01)
        for factor in (1, 3)
    )
    torch.testing.assert_close(one, three, rtol=1e-5, atol=1e-5)


# the rest of the contract


@pytest.mark.parametrize("make", ALL)
def test_parameters_without_gradient_stay(make):
    used, unused = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    optimizer = make([used, unused], lr=0.1, weight_decay=0.1)
    used.grad = torch.ones(2)
    optimizer.step()
    assert not torch.equal(used, torch.ones(2))
    assert torch.equal(unused, torch.ones(2))


@pytest.mark.parametrize("make", ALL)
def test_groups_have_options_of_their_own(make):
    fast, slow = torch.zeros((), requires_grad=True), torch.zeros((), requires_grad=True)
    optimizer = make([{"params": [fast], "lr": 0.3}, {"params": [slow]}], lr=0.1)
    fast.grad, slow.grad = torch.tensor(1.0), torch.tensor(1.0)
    optimizer.step()
    assert fast.item() == pytest.approx(3 * slow.item())


@pytest.mark.parametrize("make", ALL)
def test_the_gradient_is_left_as_it_was(make):
    point = torch.ones(2, requires_grad=True)
    point.grad = torch.ones(2)
    optimizer = make([point], lr=0.1, weight_decay=0.5)
    for _ in range(2):
        optimizer.step()
    assert torch.equal(point.grad, torch.ones(2))


def test_a_closure_computes_the_gradient():
    point = torch.tensor(2.0, requires_grad=True)
    optimizer = SGD([point], lr=0.1)

    def closure():
        loss = (point - 1) ** 2
        (point.grad,) = torch.autograd.grad(loss, [point])
        return loss

    assert optimizer.step(closure).item() == 1
    assert point.item() == pytest.approx(1.8)


def test_the_path_starts_at_the_start_and_leaves_it_alone():
    start = torch.tensor([3.0, 4.0])
    found = path(lambda x: x.square().sum(), start, 5, SGD, lr=0.1)
    assert found.shape == (6, 2)
    assert not found.requires_grad
    assert torch.equal(found[0], start)
    assert start.tolist() == [3, 4]


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (SGD, {"lr": -0.1}),
        (SGD, {"lr": 0.1, "momentum": 1.0}),
        (AdamW, {"weight_decay": -1.0}),
        (Adam, {"betas": (0.9, 1.0)}),
    ],
)
def test_bad_options_are_named(make, options):
    with pytest.raises(ValueError, match=r"(lr|weight_decay|momentum|betas\[1\]) must be in"):
        make([torch.zeros(1, requires_grad=True)], **options)


def test_learning_rate_rises_and_falls():
    factors = [learning_rate_factor(step, 100, 0.1, "cosine") for step in range(100)]
    assert factors[0] == pytest.approx(0.1)
    assert factors[9] == factors[10] == 1.0
    assert factors[55] == pytest.approx(0.5)
    assert factors[99] < 0.001
    assert factors[10:] == sorted(factors[10:], reverse=True)
    assert [learning_rate_factor(s, 10, 0.2, "constant") for s in (0, 1, 9)] == [0.5, 1.0, 1.0]
    assert learning_rate_factor(0, 1, 0.1, "cosine") == 1.0


def test_only_matrices_decay():
    net = nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3))
    decayed, kept = make_optimizer(net, lr=1.0, weight_decay=0.5).param_groups
    assert decayed["weight_decay"] == 0.5
    assert [p.ndim for p in decayed["params"]] == [2]
    assert kept["weight_decay"] == 0
    assert [p.ndim for p in kept["params"]] == [1, 1, 1]


@pytest.mark.parametrize(
    ("capability", "expected"), [((7, 5), "fp16"), ((8, 0), "bf16"), ((9, 0), "bf16")]
)
def test_automatic_precision_asks_the_gpu(monkeypatch, capability, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    assert mixed_precision("auto") == expected


def test_precision_without_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert mixed_precision("auto") == "no"
    with pytest.raises(ValueError, match="fp16 needs a GPU"):
        mixed_precision("fp16")
    with pytest.raises(ValueError, match="'half'"):
        mixed_precision("half")
