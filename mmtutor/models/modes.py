"""The two modes of a model. Knows modules; does not know what they compute."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """`model` in evaluation mode inside; afterwards every part of it is in the mode it came in.

    Part by part, because a part may be frozen: `model.train()` would wake it, and its batch
    normalisation would drift.
    """
    training = [part for part in model.modules() if part.training]
    model.eval()
    try:
        yield
    finally:
        for part in training:
            part.training = True
