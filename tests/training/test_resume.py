"""Runs that are stopped and gone on with end bit for bit where the uninterrupted one does."""

import os
import random
import signal

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.transforms import v2

from mmtutor.data import Dataset, loader
from mmtutor.data.augment import AugmentPictures
from mmtutor.data.transforms import ImageTransform, RandomFlip
from mmtutor.training import fit
from mmtutor.training.checkpoint import CheckpointError
from mmtutor.training.resume import StoppedError
from mmtutor.training.step_folders import Checkpoints
from tests.training.problem import data, model, run

OPTIONS = {"epochs": 3, "lr": 1e-2}


class PulledError(Exception):
    """Stands for a pulled plug."""


def global_noise(example):
    """Draws from all three global generators, as a reader's own transform may."""
    drawn = torch.rand(()).item() + random.random() + np.random.rand()  # noqa: NPY002
    return {**example, "image": example["image"] + drawn / 10}


class Picture(nn.Module):
    """Dropout, batch normalisation, and noise from a generator of its own."""

    def __init__(self, stop_at=None):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(48, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 1)
        )
        generator = torch.Generator().manual_seed(5)
        self.noise = lambda x: x + 0.1 * torch.randn(x.shape, generator=generator)
        self.calls, self.stop_at = 0, stop_at

    def forward(self, batch):
        self.calls += self.training
        if self.calls == self.stop_at:
            raise PulledError
        return self.layers(self.noise(batch["image"])).squeeze(-1)


def error(output, batch):
    return (output - batch["y"]).square().mean()


def pictures(workers=0):
    n = 22
    image = torch.rand(n, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    flips = Dataset({"image": image, "y": image.mean((1, 2, 3))}, RandomFlip(seed=1))
    crops = flips.with_transform(ImageTransform(v2.RandomResizedCrop(4), seed=2))
    return loader(crops.with_transform(global_noise), 4, shuffle=True, workers=workers)


def seed_all(seed):
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    torch.manual_seed(seed)


def train(net, batches, checkpoint=None, **options):
    return fit(net, error, batches, **{**OPTIONS, **options}, checkpoint=checkpoint, progress=False)


def assert_same(one: nn.Module, other: nn.Module) -> None:
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name]), name


def quiet(folder, **options):
    said = []
    return Checkpoints(folder, say=said.append, **options), said


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_resumed_equals_uninterrupted_within_an_epoch(tmp_path, accumulate, workers):
    """6 batches an epoch: pulled in the second, with a checkpoint within that epoch."""
    options = {"accumulate": accumulate, "validate": lambda net: {"draw": torch.rand(1).item()}}
    seed_all(1)
    whole = Picture()
    expected = train(whole, pictures(workers), **options)
    checkpoints, said = quiet(tmp_path, every=1)
    seed_all(1)
    with pytest.raises(PulledError):
        train(Picture(stop_at=11), pictures(workers), checkpoints, **options)
    seed_all(9)  # another process begins with other random numbers
    resumed = Picture()
    nn.init.zeros_(resumed.layers[1].weight)
    history = train(resumed, pictures(workers), checkpoints, **options)
    step = {1: 10, 2: 5}[accumulate]
    assert said == [f"found {tmp_path / f'step-{step}'}, saved by this run: goes on from there"]
    assert_same(resumed, whole)
    for kept in ("loss", "learning_rate", "epochs", "examples"):
        assert getattr(history, kept) == getattr(expected, kept)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_augmented_on_the_device_are_gone_on_with_too(tmp_path, workers):
    """Draws from the global generator, and from one of its own."""

    def augment():
        generator, pictures = torch.Generator().manual_seed(7), AugmentPictures(shift=1)
        return lambda x: pictures(x) + 0.1 * torch.rand(x.shape, generator=generator)

    seed_all(1)
    whole = Picture()
    expected = train(whole, pictures(workers), augment=augment())
    seed_all(1)
    with pytest.raises(PulledError):
        train(
            Picture(stop_at=11), pictures(workers), quiet(tmp_path, every=1)[0], augment=augment()
        )
    seed_all(9)
    resumed = Picture()
    history = train(resumed, pictures(workers), tmp_path, augment=augment())
    assert_same(resumed, whole)
    assert history.loss == expected.loss
    seed_all(1)
    assert history.loss != train(Picture(), pictures(workers)).loss


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
    options = {"schedule": "constant", "warmup": 0.0, "checkpoint": tmp_path}
    run(model(), data(), epochs=1, **options)
    poisoned = data()
    poisoned.dataset.columns["x"][0, 0] = float("nan")
    with pytest.raises(FloatingPointError, match="step 4, epoch 1, batch 0 of 4"):
        run(model(), poisoned, epochs=2, **options)
    assert [path.name for path in tmp_path.iterdir()] == ["step-4"]


def test_sigterm_saves_and_says_where(tmp_path):
    class Terminated(Picture):
        def forward(self, batch):
            if self.calls == 8:
                os.kill(os.getpid(), signal.SIGTERM)
            return super().forward(batch)

    seed_all(1)
    whole = Picture()
    train(whole, pictures())
    seed_all(1)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(StoppedError, match=r"SIGTERM: saved as .*step-9; the same call goes on"):
        train(Terminated(), pictures(), tmp_path)
    assert signal.getsignal(signal.SIGTERM) is before
    resumed = Picture()
    train(resumed, pictures(), tmp_path)
    assert_same(resumed, whole)


def test_another_runs_checkpoint_is_refused(tmp_path):
    run(model(), data(), epochs=1, checkpoint=tmp_path)
    with pytest.raises(CheckpointError, match=r"of another run: .*batches is 4 there, 8 here"):
        run(model(), data(batch_size=2), epochs=1, checkpoint=tmp_path)
    with pytest.raises(CheckpointError, match=r"lr is \[0\.001, .* there, \[0\.1, .* here"):
        run(model(), data(), epochs=1, lr=0.1, checkpoint=tmp_path)


def test_workers_that_stay_are_refused(tmp_path):
    batches = torch.utils.data.DataLoader(data().dataset, 4, num_workers=1, persistent_workers=True)
    with pytest.raises(ValueError, match="loader must not have persistent_workers"):
        run(model(), batches, epochs=1, checkpoint=tmp_path)
