"""Costs of training: counted by hand, timed where one phase is made slow, priced as published."""

import time
from copy import deepcopy

import pytest
import torch
from torch import nn

from mmtutor.evaluation.training_cost import run_cost, step_cost, training_flops
from mmtutor.training import train
from tests.training.problem import data, model, squared_error

PAUSE = 0.02


class Slow(nn.Module):
    """(B, 3) -> (B,), in two linear layers; sleeps forward and backward if told."""

    def __init__(self, forward=0.0, backward=0.0):
        super().__init__()
        self.first, self.second = nn.Linear(3, 16, bias=False), nn.Linear(16, 1, bias=False)
        self.pauses = forward, backward

    def forward(self, batch):
        time.sleep(self.pauses[0])
        hidden = self.first(batch["x"])
        if self.pauses[1]:
            hidden.register_hook(lambda gradient: time.sleep(self.pauses[1]))
        return self.second(hidden).squeeze(-1)


class SlowSGD(torch.optim.SGD):
    def step(self):
        time.sleep(PAUSE)
        super().step()


def slow_batches():
    for batch in data(32):
        time.sleep(PAUSE)
        yield batch


def measured(net, batches=None, optimizer=torch.optim.SGD, **options):
    optimizer = optimizer(net.parameters(), lr=0.01)
    return step_cost(net, squared_error, batches or data(32), optimizer, steps=3, **options)


@pytest.mark.parametrize(
    ("phase", "options"),
    [
        ("data", {"net": Slow(), "batches": slow_batches()}),
        ("forward", {"net": Slow(forward=PAUSE)}),
        ("backward", {"net": Slow(backward=PAUSE)}),
        ("update", {"net": Slow(), "optimizer": SlowSGD}),
    ],
)
def test_the_slow_phase_is_the_one_that_takes_long(phase, options):
    found = measured(**options)
    times = {each: getattr(found, each) for each in ("data", "forward", "backward", "update")}
    assert times[phase] >= PAUSE
    assert max(times, key=times.get) == phase


def test_operations_by_hand_and_what_follows_from_them():
    found = measured(Slow(), peak_flops=1e9)
    # A product forward and two backward, but none for the gradient of the data.
    assert found.flops == 2 * 4 * (2 * 3 * 16 + 3 * 16 * 1)
    total = found.data + found.forward + found.backward + found.update
    assert found.examples_per_second == pytest.approx(4 / total)
    assert found.utilisation == pytest.approx(found.flops / total / 1e9)
    assert measured(Slow()).utilisation is None


def test_the_peak_grows_with_the_batch_by_what_is_kept_for_the_gradient():
    small, large = (measured(Slow(), data(32 * k, 4 * k)).peak_bytes for k in (1, 1_000))
    assert large - small >= 999 * 4 * 16 * 4  # the hidden layer of each example
    assert large - small < 4 * 999 * 4 * 16 * 4
    assert small >= 4 * (3 * 16 + 16)  # the gradients


def test_its_steps_are_those_of_the_loop():
    net, batches = model(), list(data(32))[:4]
    copy = deepcopy(net)
    net.eval()
    measured(net, batches)
    optimizer = torch.optim.SGD(copy.parameters(), lr=0.01)
    train(copy, squared_error, [batches[0], *batches], optimizer)
    torch.testing.assert_close(net.state_dict(), copy.state_dict())
    assert not net.training
    assert all(p.grad is None for p in net.parameters())


def test_too_few_batches():
    with pytest.raises(ValueError, match="loader must give 4 batches, one more than steps, got 3"):
        measured(Slow(), data(12))


def test_the_operations_of_published_runs():
    """Brown et al. (2020), table D.1: GPT-3, 174.6 G parameters, 300 G tokens: 3.14e23."""
    assert training_flops(174.6e9, 300e9) == pytest.approx(3.14e23, rel=2e-3)
    days = run_cost(3.14e23, peak_flops=1e15, utilisation=1.0).gpu_hours / 24
    assert days == pytest.approx(3.64e3, rel=2e-3)  # "petaflop/s-days"
    # The same table: T5-11B is an encoder and a decoder, each token passes half: 3.30e22.
    assert training_flops(11e9, 1000e9) / 2 == pytest.approx(3.30e22, rel=1e-3)


def test_a_run_by_hand():
    """3.6e18 operations at half of 1e15 a second are 7,200 seconds."""
    found = run_cost(3.6e18, 1e15, 0.5, gpus=4, hour_price=3.0)
    assert found == pytest.approx((0.5, 2.0, 6.0))
