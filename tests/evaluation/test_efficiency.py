"""Costs: counted where they can be counted, and measured without harm to the model."""

import math

import pytest
import torch
from torch import nn

from mmtutor.evaluation.efficiency import (
    _joules,
    cost,
    flops,
    parameters,
    peak_bytes,
    saved_bytes,
    seconds,
)


class Squares(nn.Module):
    """(B, 10) -> (B, 20); notes the batch sizes it was called with."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(10, 20, bias=False)
        self.drop = nn.Dropout(0.5)
        self.sizes = []

    def forward(self, batch):
        self.sizes.append(len(batch["x"]))
        assert not self.training
        assert not torch.is_grad_enabled()
        return self.drop(self.linear(batch["x"]))


def test_saved_bytes_counts_each_tensor_once():
    x = torch.randn(10, 10, requires_grad=True)
    assert saved_bytes(lambda: x.exp().sum()) == 400  # exp keeps its result
    assert saved_bytes(lambda: (x * x).sum()) == 400  # and a product both, here the same
    assert saved_bytes(lambda: x.detach().exp().sum()) == 0


def test_seconds_calls_once_more_than_it_counts():
    calls = []
    assert seconds(lambda: calls.append(1), repeats=3) >= 0
    assert len(calls) == 4


def test_operations_and_parameters_by_hand():
    x, layer = torch.randn(3, 10), nn.Linear(10, 20)
    assert flops(lambda: layer(x)) == 2 * 3 * 10 * 20
    assert parameters(layer) == 220
    layer.bias.requires_grad_(False)
    assert parameters(layer) == 200


def test_the_peak_is_the_most_held_at_once():
    def job():
        one = torch.ones(2**20)  # 4 MiB
        del one
        two = torch.ones(2**21)  # 8 MiB
        return two + 1  # and 8 more

    assert peak_bytes(job) == 16 * 2**20


def test_the_peak_counts_views_and_changes_in_place_once_and_arguments_not_at_all():
    given = torch.ones(1000)

    def job():
        made = given.exp()
        made.view(10, 100).t().mul_(2)
        return given.view(10, 100), made

    assert peak_bytes(job) == 4000
    layers = nn.Sequential(nn.Linear(10, 100), nn.ReLU(), nn.Linear(100, 1)).requires_grad_(False)
    assert peak_bytes(lambda: layers(torch.ones(5, 10))) == 4 * (5 * 10 + 2 * 5 * 100)


def test_the_cost_of_a_model():
    model = Squares().train()
    found = cost(model, {"x": torch.randn(8, 10)}, sizes=(2, 8), repeats=3)
    assert (found.parameters, found.flops) == (200, 2 * 200)
    frozen = cost(Squares().requires_grad_(False), {"x": torch.randn(2, 10)}, (2,), repeats=1)
    assert frozen.parameters == 200
    assert set(model.sizes) == {1, 2, 8}
    assert found.best_batch in (2, 8)
    assert found.peak_bytes == 8 * 20 * 4
    assert 0 < found.latency.low <= found.latency.estimate <= found.latency.high
    assert 0 < found.throughput.low <= found.throughput.estimate <= found.throughput.high
    assert math.isfinite(found.throughput.high)
    assert model.training


def test_a_batch_too_small_is_refused():
    with pytest.raises(
        ValueError, match="batch must hold 64 examples, the largest of sizes, got 8"
    ):
        cost(Squares(), {"x": torch.randn(8, 10)})


def test_without_a_gpu_no_energy_is_guessed():
    assert _joules(lambda: None, torch.device("cpu")) is None


def test_attention_is_counted_in_evaluation_too():
    layer, x = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval(), torch.randn(2, 3, 8)
    with torch.no_grad():
        counted = flops(lambda: layer(x))
    linear = 2 * 2 * 3 * (8 * 24 + 8 * 8 + 2 * 8 * 16)
    assert counted == linear + 2 * 2 * 2 * 3 * 3 * 8  # and two products of attention
    assert torch.backends.mha.get_fastpath_enabled()
