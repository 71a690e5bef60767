"""What a training run recorded.

Knows numbers, their meaning and how they leave the device; knows nothing of the loop or of plots.
"""

import math
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor
from tqdm import tqdm


@dataclass
class History:
    """The course of one training run, resumed parts included.

    Attributes:
        loss: mean loss of each optimiser step.
        learning_rate: learning rate of each optimiser step (of the first parameter group).
        epochs: one dict per epoch: `epoch`, `loss` and whatever `validate` returned.
        seconds: time spent in training steps, without validation and checkpoints.
        examples: examples seen, over all processes.
    """

    loss: list[float] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=list)
    epochs: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0
    examples: int = 0

    @property
    def examples_per_second(self) -> float:
        """Mean training throughput."""
        return self.examples / self.seconds if self.seconds else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and numbers, ready for JSON."""
        return asdict(self) | {"examples_per_second": self.examples_per_second}


class PendingLosses:
    """Losses on their way from the device into a `History`.

    On a CPU a loss is read at once, before its gradient is computed. On a GPU reading waits for all
    queued work, and over several processes it takes a message, so there they are read in groups.
    """

    def __init__(self, accelerator: Accelerator, history: History, bar: tqdm) -> None:
        self.accelerator, self.history, self.bar = accelerator, history, bar
        alone = accelerator.device.type == "cpu" and accelerator.num_processes == 1
        self.at_once = 1 if alone else 16
        self.pending: list[tuple[Tensor, float, int, str]] = []

    def add(self, loss: Tensor, weight: float, step: int, place: str) -> None:
        """Remember a batch's scalar loss; it counts with `weight` in the loss of its `step`.

        Raises:
            FloatingPointError: this loss or an earlier one is not finite; the message says `place`.
        """
        self.pending.append((loss.detach(), weight, step, place))
        if len(self.pending) >= self.at_once:
            self.flush()

    def flush(self) -> None:
        """Read what is pending into the history; raises as `add` does."""
        if not self.pending:
            return
        values = torch.stack([loss for loss, *_ in self.pending])
        if self.accelerator.num_processes > 1:
            values = self.accelerator.reduce(values, "mean")
        losses = self.history.loss
        for value, (_, weight, step, place) in zip(values.tolist(), self.pending, strict=True):
            if not math.isfinite(value):
                raise FloatingPointError(f"the loss is {value} at {place}")
            if step == len(losses):
                losses.append(0.0)
                self.bar.update()
            losses[step] += value * weight
        self.bar.set_postfix_str(f"loss {value:.3f}", refresh=False)
        self.pending.clear()
