"""Two defences that are none: they hide the gradient and change almost no answer.

Knows any model that reads `batch["image"]` and gives `logits`. They are planted, so that a check
for masked gradients has something to find; use neither.
"""

from typing import NamedTuple

from torch import Tensor, nn


class QuantisedInput(nn.Module):
    """The model behind a rounding of the picture: the gradient of rounding is 0 everywhere.

    Args:
        model: a trained classifier.
        levels: grey levels that are left, at least 2.
    """

    def __init__(self, model: nn.Module, levels: int = 8) -> None:
        super().__init__()
        if levels < 2:
            raise ValueError(f"levels is {levels}: expected at least 2")
        self.model, self.steps = model, levels - 1

    def forward(self, batch: dict[str, Tensor]) -> NamedTuple:
        image = (batch["image"] * self.steps).round() / self.steps
        return self.model({**batch, "image": image})


class SaturatedLogits(nn.Module):
    """The model's logits times a large number: no answer changes, but the softmax becomes 0 and 1.

    Args:
        model: a trained classifier.
        factor: above 0; from some thousands on, the cross-entropy has no gradient in float32.
    """

    def __init__(self, model: nn.Module, factor: float = 1e4) -> None:
        super().__init__()
        if not factor > 0:
            raise ValueError(f"factor is {factor}: expected a positive number")
        self.model, self.factor = model, factor

    def forward(self, batch: dict[str, Tensor]) -> NamedTuple:
        output = self.model(batch)
        return output._replace(logits=output.logits * self.factor)
