"""What only changes how fast a run is: the same losses and weights, and it really arrives."""

import pytest
import torch
from torch import nn

from mmtutor.data import Dataset, loader
from mmtutor.training import fit, load_model
from mmtutor.training.engine import Engine
from tests.training.problem import data, model, run


class Pictures(nn.Module):
    """A small CNN that remembers how its input and its weights lay, and whether it was compiled."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 3)
        )
        self.seen = []

    def forward(self, batch):
        image = batch["image"]
        if not torch.compiler.is_compiling():
            self.seen.append((strides(image), strides(self.layers[0].weight)))
        return self.layers(image).mean((1, 2, 3))


def strides(x):
    return x.is_contiguous(memory_format=torch.channels_last)


def error(output, batch):
    return (output - batch["y"]).square().mean()


def train(net, **options):
    image = torch.rand(22, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    batches = loader(Dataset({"image": image, "y": image.amax((1, 2, 3))}), 4, shuffle=True)
    return fit(net, error, batches, **{"epochs": 2, "lr": 1e-2, "progress": False, **options})


def assert_close(one: nn.Module, other: nn.Module) -> None:
    torch.testing.assert_close(one.state_dict(), other.state_dict(), rtol=1e-5, atol=1e-5)


def test_channels_last_arrives_and_learns_the_same():
    plain, last = Pictures(), Pictures()
    expected, found = train(plain), train(last, channels_last=True)
    assert set(plain.seen) == {(False, False)}
    assert set(last.seen) == {(True, True)}
    assert found.loss == pytest.approx(expected.loss, rel=1e-5, abs=1e-5)
    assert_close(last, plain)


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_compiled_runs_as_one_graph_and_learns_the_same(backend):
    plain, compiled = Pictures(), Pictures()
    expected, found = train(plain), train(compiled, compile=backend)
    assert len(plain.seen) == 12
    assert compiled.seen == []
    assert found.loss == pytest.approx(expected.loss, rel=1e-5, abs=1e-5)
    assert_close(compiled, plain)
    compiled({"image": torch.rand(1, 3, 8, 8)})
    assert len(compiled.seen) == 1  # afterwards the model is as it was


def test_weights_of_a_compiled_run_have_plain_names_and_it_is_resumed(tmp_path):
    options = {"compile": "eager", "channels_last": True, "schedule": "constant", "warmup": 0.0}
    whole, resumed = Pictures(), Pictures()
    names = list(whole.state_dict())
    train(whole, **options)
    train(Pictures(), **options, epochs=1, checkpoint=tmp_path)
    load_model(Pictures(), tmp_path / "step-6" / "model.safetensors")
    train(resumed, **options, checkpoint=tmp_path)
    assert list(resumed.state_dict()) == names
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name
    load_model(Pictures(), tmp_path / "step-12" / "model.safetensors")


def test_a_loader_pins_where_there_is_a_gpu_and_the_copy_does_not_wait(monkeypatch):
    assert not data().pin_memory
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert data().pin_memory
    monkeypatch.undo()
    asked = []
    monkeypatch.setattr(
        "mmtutor.training.processes.batches.send_to_device",
        lambda batch, device, non_blocking=False: asked.append(non_blocking) or batch,
    )
    run(model(), data(), epochs=1)
    assert asked == [True] * 4


def test_what_cannot_be_is_said_in_one_sentence(monkeypatch):
    with pytest.raises(ValueError, match=r"compile must be 'inductor', .*got 'inducto'"):
        Engine(compile="inducto")
    with pytest.raises(ValueError, match="precision"):
        Engine(precision="fp8")
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ValueError, match=r"needs the C\+\+ compiler no-such-compiler"):
        Engine(compile="inductor")
    with pytest.raises(ValueError, match="sharded does not go with channels_last, compile"):
        Engine(sharded=True, channels_last=True, compile="eager")
    monkeypatch.setattr("mmtutor.training.engine.mixed_precision", lambda precision: "fp16")
    with pytest.raises(ValueError, match=r"sharded does not go with .* precision fp16"):
        Engine(sharded=True)
    with pytest.raises(TypeError, match="chanels_last"):
        run(model(), data(), chanels_last=True)
