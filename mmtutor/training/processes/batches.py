"""The batches of a run, epoch by epoch, from any place in one.

Knows loaders, this process's share of them, and their randomness; does not know what is trained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from accelerate import Accelerator
from accelerate.utils import send_to_device, synchronize_rng_states
from torch import Tensor
from torch.utils.data import DataLoader

from mmtutor.training.generators import RandomNumbers


class Batches:
    """What a loader gives this process, on its device.

    An epoch can be gone on with: all generators are put back to where they stood at its start, and
    the batches that are done are read once more and dropped.

    Attributes:
        arrange: what becomes of a batch that is on the device.
        random: all generators, where runs are saved; else None.
        done: how many batches of the current epoch are done.
        start: the state of `random` at its start.
    """

    def __init__(self, accelerator: Accelerator, loader: DataLoader, arrange: Callable) -> None:
        self.share, self.device = accelerator.prepare_data_loader(loader), accelerator.device
        self.arrange = arrange
        self.random: RandomNumbers | None = None
        self.done = 0
        self.start: dict[str, Any] | None = None

    def __len__(self) -> int:
        return len(self.share)

    def epoch(self, number: int) -> Iterator[tuple[int, dict[str, Tensor]]]:
        """The batches that are not done yet, each with its place in the epoch."""
        now = self._rewind() if self.done else None
        if self.random and not self.done:
            self.start = self.random.state()
        self.share.set_epoch(number)  # for samplers that shuffle by the epoch's number
        if self.share.rng_types:
            synchronize_rng_states(self.share.rng_types, self.share.synchronized_generator)
        # Not the share itself: it reads a batch ahead, so a batch's random numbers would depend on
        # whether the run went on or was resumed there.
        batches = iter(self.share.base_dataloader)
        for _ in range(self.done):
            next(batches)
        if now is not None:
            self.random.restore(now)
        for i, batch in enumerate(batches, self.done):
            # From pinned memory a batch is copied while the device still computes.
            yield i, self.arrange(send_to_device(batch, self.device, non_blocking=True))

    def _rewind(self) -> dict[str, Any]:
        """Put all generators back to the epoch's start; returns where they stood."""
        now = self.random.state()
        self.random.restore(self.start)
        return now
