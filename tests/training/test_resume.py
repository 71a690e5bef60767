import pytest
import torch
from torch import nn

from mmtutor.training.checkpoint import CheckpointError
from tests.training.problem import data, model, run

OPTIONS = {"epochs": 4, "lr": 1e-2}


class StoppedError(Exception):
    """Stands for a closed laptop."""


def validate(net):
    return {"draw": torch.rand(1).item()}  # a validation may draw random numbers too


def stop_in_epoch(stop):
    calls = iter(range(100))

    def stopping(net):
        if next(calls) == stop:
            raise StoppedError
        return validate(net)

    return stopping


def assert_same(one: nn.Module, other: nn.Module) -> None:
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name]), name


def uninterrupted(**options):
    net = model(dropout=0.3)
    return net, run(net, data(shuffle=True), **OPTIONS, validate=validate, **options)


def interrupted_then_resumed(folder, **options):
    options = OPTIONS | options
    stopping = stop_in_epoch(2)
    with pytest.raises(StoppedError):
        run(model(0.3), data(shuffle=True), **options, validate=stopping, checkpoint=folder)
    torch.manual_seed(99)  # another process begins with other random numbers
    net = model(0.3)
    nn.init.zeros_(net.layers[0].weight)
    torch.manual_seed(98)
    history = run(net, data(shuffle=True), **options, validate=validate, checkpoint=folder)
    return net, history


def test_resumed_equals_uninterrupted_bit_for_bit(tmp_path):
    net, history = interrupted_then_resumed(tmp_path)
    expected_net, expected = uninterrupted()
    assert history.loss == expected.loss
    assert history.learning_rate == expected.learning_rate
    assert history.epochs == expected.epochs
    assert history.examples == expected.examples
    assert_same(net, expected_net)


def test_another_optimizer_is_resumed_too(tmp_path):
    def with_momentum(net, epochs, folder):
        sgd = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
        options = {"schedule": "constant", "warmup": 0.0, "checkpoint": folder}
        return run(net, data(shuffle=True), epochs, optimizer=sgd, **options)

    whole, first, second = model(), model(), model()
    with_momentum(whole, 4, None)
    with_momentum(first, 2, tmp_path)
    with_momentum(second, 4, tmp_path)
    assert_same(second, whole)


def test_finished_run_is_not_trained_again(tmp_path):
    batches, net = data(shuffle=True), model()
    first = run(net, batches, epochs=2, checkpoint=tmp_path)
    again = model()
    second = run(again, data(shuffle=True), epochs=2, checkpoint=tmp_path)
    assert second.to_dict() == first.to_dict()
    assert_same(again, net)


def test_loss_that_is_not_finite_leaves_the_last_checkpoint(tmp_path):
    net = model()
    run(net, data(), epochs=1, checkpoint=tmp_path)
    before = (tmp_path / "training.safetensors").read_bytes()
    poisoned = data()
    poisoned.dataset.columns["x"][0, 0] = float("nan")
    with pytest.raises(FloatingPointError, match="step 4, epoch 1, batch 0 of 4"):
        run(net, poisoned, epochs=2, checkpoint=tmp_path)
    assert (tmp_path / "training.safetensors").read_bytes() == before


def test_checkpoint_of_another_run_is_refused(tmp_path):
    run(model(), data(), epochs=1, checkpoint=tmp_path)
    with pytest.raises(CheckpointError, match=r"4 steps an epoch.*this one has 8"):
        run(model(), data(batch_size=2), epochs=2, checkpoint=tmp_path)
    wider = model()
    wider.layers[0] = nn.Linear(3, 20)
    with pytest.raises(CheckpointError, match=r"layers\.0\.weight is \(16, 3\) in the file"):
        run(wider, data(), epochs=2, checkpoint=tmp_path)
    (tmp_path / "training.safetensors").write_bytes(b"not a checkpoint")
    with pytest.raises(CheckpointError, match="damaged"):
        run(model(), data(), epochs=2, checkpoint=tmp_path)
