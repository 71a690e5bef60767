"""Running a model without training it: its outputs, its predictions, and how often they are right.

Knows batches, devices and modes, logits and labels. Does not know what the classes are or how a
model was trained.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mmtutor import checks
from mmtutor.data.batch import Batch, loader, require
from mmtutor.data.dataset import Dataset
from mmtutor.evaluation.classification.scores import check_logits, confusion
from mmtutor.evaluation.statistics.bootstrap import Interval, bootstrap_interval
from mmtutor.models.modes import evaluating

BATCH_SIZE = 256


class Predictions(NamedTuple):
    """What a classifier said, and what was so, on the CPU.

    Attributes:
        logits: (N, C) float32.
        label: (N,) int64, each in [0, C).
    """

    logits: Tensor
    label: Tensor

    @property
    def predicted(self) -> Tensor:
        """(N,) int64: the class with the highest logit; of equals the first.

        Raises ValueError where a row of logits ranks no class (NaN) and for labels of none.
        """
        check_logits(self.logits, self.label)
        return self.logits.argmax(dim=1)

    @property
    def correct(self) -> Tensor:
        """(N,) bool."""
        return self.predicted == self.label

    def accuracy(self, groups: Tensor | None = None) -> Interval:
        """Share of right answers in [0, 1], with a 95 % bootstrap interval.

        `groups` (N,) int64: examples that rise and fall together; see `bootstrap_interval`.
        """
        return bootstrap_interval(self.correct.double(), groups=groups)

    def confusion(self) -> Tensor:
        """(C, C) int64: how many examples of class i (row) were called class j (column)."""
        return confusion(self.predicted, self.label, self.logits.shape[1])


def predict(model: nn.Module, data: Dataset | Iterable[Batch]) -> Predictions:
    """Run a model whose output has `logits` over a data set, or batches, with a column `label`.

    The model runs in evaluation mode on its own device, and is left in the mode it came in.
    Raises ValueError if there is no batch, a label is no class or a row of logits ranks none (NaN),
    KeyError if a batch has no `label`.
    """
    logits, labels = [], []
    for batch, output in outputs(model, data):
        require(batch, "label")
        if not hasattr(output, "logits"):
            raise TypeError(f"model must give an output with logits, got {type(output).__name__}")
        logits.append(output.logits.float().cpu())
        labels.append(batch["label"].cpu())
    found = Predictions(torch.cat(logits), torch.cat(labels))
    check_logits(*found)
    return found


def outputs(model: nn.Module, data: Dataset | Iterable[Batch]) -> Iterator[tuple[Batch, Any]]:
    """Each batch of `data` and the model's output for it, both on the model's device.

    A data set is read in its order, `BATCH_SIZE` examples at a time; batches may come ready-made.

    No gradients are recorded. The model runs in evaluation mode and is left in the mode it came
    in. Raises ValueError if the data give no batch.
    """
    checks.instance(nn.Module, model=model)
    checks.instance((Dataset, Iterable), data=data)
    empty = True
    with evaluating(model):
        for batch in loader(data, BATCH_SIZE) if isinstance(data, Dataset) else data:
            checks.instance(dict, **{"each batch of data": batch})
            empty = False
            batch = on_device_of(model, batch)
            with torch.no_grad():
                output = model(batch)
            yield batch, output
    if empty:
        raise ValueError("the data gave no batch, so there is nothing to evaluate")


def on_device_of(model: nn.Module, batch: Batch) -> Batch:
    """The batch where the model's parameters are."""
    checks.instance(nn.Module, model=model)
    checks.instance(Mapping, batch=batch)
    for name, value in batch.items():
        checks.instance(Tensor, **{f"batch[{name!r}]": value})
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    return {name: value.to(device) for name, value in batch.items()}
