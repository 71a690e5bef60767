import math

import pytest
import torch
from torch import nn

from mmtutor.data import Dataset, loader
from mmtutor.training import fit
from mmtutor.training.optim import make_optimizer
from tests.training.problem import Regression, data, model, run, squared_error


def test_overfits_a_handful_of_examples():
    net = model()
    history = run(net, data(shuffle=True), epochs=60, lr=3e-2)
    assert history.epochs[-1]["loss"] < 0.05 * history.epochs[0]["loss"]
    assert not net.training


def test_history_has_one_entry_a_step():
    history = run(model(), data(n=18, batch_size=4), epochs=3, accumulate=2)
    assert len(history.loss) == len(history.learning_rate) == 3 * 3  # 5 batches make 3 steps
    assert [record["epoch"] for record in history.epochs] == [0, 1, 2]
    assert history.epochs[1]["loss"] == pytest.approx(sum(history.loss[3:6]) / 3)
    assert history.examples == 3 * 18
    assert history.to_dict()["examples_per_second"] == history.examples / history.seconds > 0


def test_recorded_loss_is_the_loss():
    net, batches = model(), data()
    expected = [squared_error(net(batch), batch).item() for batch in batches]
    history = run(net, batches, epochs=1, lr=1e-30)
    assert history.loss == pytest.approx(expected)


def test_equals_a_bare_loop():
    ours, theirs = model(), model()
    run(ours, data(shuffle=True), epochs=2, lr=1e-2, warmup=0.0, schedule="constant", clip_norm=0.1)
    optimizer = make_optimizer(theirs, lr=1e-2, weight_decay=0.01)
    batches = data(shuffle=True)
    for _ in range(2):
        for batch in batches:
            squared_error(theirs(batch), batch).backward()
            nn.utils.clip_grad_norm_(theirs.parameters(), 0.1)
            optimizer.step()
            optimizer.zero_grad()
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(mine, other)


def test_accumulation_equals_the_larger_batch():
    small, large = model(), model()
    options = {"lr": 1e-2, "clip_norm": None}
    a = run(small, data(batch_size=4), accumulate=2, **options)
    b = run(large, data(batch_size=8), **options)
    assert a.loss == pytest.approx(b.loss, rel=1e-5)
    for mine, other in zip(small.parameters(), large.parameters(), strict=True):
        torch.testing.assert_close(mine, other)


def test_a_last_smaller_group_is_averaged_over_its_own_size():
    """Three batches, two by two: the last one makes a step alone, at full weight."""
    accumulated, alone = model(), model()
    options = {"lr": 0.1, "clip_norm": None, "warmup": 0.0, "schedule": "constant"}
    sgd = lambda net: torch.optim.SGD(net.parameters(), lr=0.1)  # noqa: E731
    run(accumulated, data(n=12), 1, accumulate=2, optimizer=sgd(accumulated), **options)
    by_hand = sgd(alone)
    first, second, third = data(n=12)
    for group in ((first, second), (third,)):
        (sum(squared_error(alone(batch), batch) for batch in group) / len(group)).backward()
        by_hand.step()
        by_hand.zero_grad()
    for mine, other in zip(accumulated.parameters(), alone.parameters(), strict=True):
        torch.testing.assert_close(mine, other)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_loss_that_is_not_finite_is_named_before_it_does_harm(value):
    x = torch.zeros(12, 3)
    x[9, 0] = value
    net = model()
    batches = loader(Dataset({"x": x, "y": torch.zeros(12)}), 4)
    squared = lambda output, batch: (output + batch["x"].sum(1)).square().mean()  # noqa: E731
    with pytest.raises(FloatingPointError, match=r"step 2, epoch 0, batch 2 of 3"):
        fit(net, squared, batches, epochs=1, progress=False)
    assert all(torch.isfinite(p).all() for p in net.parameters())


def test_objective_that_is_a_module_is_trained_too():
    class Shifted(nn.Module):
        def __init__(self):
            super().__init__()
            self.shift = nn.Parameter(torch.tensor(5.0))

        def forward(self, output, batch):
            return squared_error(output + self.shift, batch)

    objective = Shifted()
    fit(model(), objective, data(), epochs=3, lr=0.1, progress=False)
    assert objective.shift.item() < 4.5


def test_frozen_parameters_stay_and_nothing_to_train_is_said():
    net = model()
    net.layers[0].requires_grad_(False)
    before = net.layers[0].weight.clone()
    run(net, data())
    assert torch.equal(net.layers[0].weight, before)
    with pytest.raises(ValueError, match="nothing to train"):
        run(net.requires_grad_(False), data())


def test_validate_sees_eval_mode_and_lands_in_the_history():
    seen = []

    def validate(net):
        seen.append((net.training, torch.is_grad_enabled()))
        return {"recall": 0.5}

    net = model()
    history = run(net, data(), validate=validate)
    assert seen == [(False, False)] * 2
    assert history.epochs[1]["recall"] == 0.5
    assert len(history.epochs) == 2


def test_bfloat16_on_a_cpu_trains_float32_weights():
    class Dtypes(Regression):
        def forward(self, batch):
            self.seen = self.layers[0](batch["x"]).dtype
            return super().forward(batch)

    net = Dtypes()
    history = run(net, data(), epochs=20, lr=3e-2, precision="bf16")
    assert net.seen == torch.bfloat16
    assert net.layers[0].weight.dtype == torch.float32
    assert history.epochs[-1]["loss"] < 0.5 * history.epochs[0]["loss"]
    run(net, data(), epochs=1, precision="fp32")  # the next fit may want another precision
    assert net.seen == torch.float32


def test_clipping_bounds_the_step():
    net = model()
    before = [p.clone() for p in net.parameters()]
    sgd = torch.optim.SGD(net.parameters(), lr=1.0)
    batches = data(batch_size=16)
    run(net, batches, 1, optimizer=sgd, clip_norm=1e-3, warmup=0.0, schedule="constant")
    moved = torch.cat([(p - q).flatten() for p, q in zip(net.parameters(), before, strict=True)])
    assert moved.norm().item() == pytest.approx(1e-3, rel=1e-3)


def test_given_optimizer_is_scheduled_from_its_own_rate():
    net = model()
    sgd = torch.optim.SGD(net.parameters(), lr=0.5)
    history = run(net, data(), epochs=1, optimizer=sgd, warmup=0.5)
    expected = [0.25, 0.5, 0.5, 0.25]
    assert history.learning_rate == pytest.approx(expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "at least 1"),
        ({"accumulate": 0}, "at least 1"),
        ({"warmup": 5}, r"warmup must be in \[0, 1\], got 5"),
        ({"schedule": "linear"}, "'linear'"),
    ],
)
def test_bad_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        run(model(), data(), **options)


def test_bad_loaders_are_named():
    with pytest.raises(TypeError, match="DataLoader"):
        run(model(), [{"x": torch.zeros(1, 3)}])
    with pytest.raises(ValueError, match="no batch"):
        run(model(), data(n=2, batch_size=4, drop_last=True))


def test_progress_shows_epoch_and_loss(capsys):
    fit(model(), squared_error, data(), epochs=2, progress=True)
    assert "epoch 2/2" in capsys.readouterr().err
    run(model(), data())
    assert capsys.readouterr().err == ""
