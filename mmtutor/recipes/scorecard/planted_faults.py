"""Models with a planted fault, so that a check of models has something to find; use none of them.

Two hide their gradient and change almost no answer; one answers some group worse. Knows any model
whose output has `logits`.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from mmtutor import checks
from mmtutor.data.batch import require


class QuantisedInput(nn.Module):
    """The model behind a rounding of the picture: the gradient of rounding is 0 everywhere.

    Args:
        model: a trained classifier.
        levels: grey levels that are left, at least 2.
    """

    def __init__(self, model: nn.Module, levels: int = 8) -> None:
        super().__init__()
        checks.at_least(2, levels=levels)
        self.model, self.steps = model, levels - 1

    def forward(self, batch: dict[str, Tensor]) -> NamedTuple:
        """`model`'s output for the rounded picture. Raises KeyError without `image`."""
        require(batch, "image")
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
        checks.within("(0, inf)", factor=factor)
        self.model, self.factor = model, factor

    def forward(self, batch: dict[str, Tensor]) -> NamedTuple:
        """`model`'s output, its logits times the factor."""
        output = self.model(batch)
        return output._replace(logits=output.logits * self.factor)


class GroupBiased(nn.Module):
    """`model`, but it gives its second-best answer where the number `key` of an example is `group`.

    Its confidences are those of `model`. With a `key` that means nothing it is the control of one
    that is unfair: wrong just as often, but in all groups alike. A batch without `key` is answered
    as `model` answers it.
    """

    def __init__(self, model: nn.Module, key: str, group: int = 0) -> None:
        super().__init__()
        self.model, self.key, self.group = model, key, group

    def forward(self, batch: dict[str, Tensor]) -> NamedTuple:
        """`model`'s output; in the group, the two highest logits change places."""
        output = self.model(batch)
        if self.key not in batch:
            return output
        logits = output.logits
        best, order = logits.topk(2, dim=1)
        swapped = logits.scatter(1, order, best.flip(1))
        checks.shaped(logits=(logits, "B C"), **{self.key: (batch[self.key], "B")})
        hit = (batch[self.key] == self.group).unsqueeze(1)
        return output._replace(logits=torch.where(hit, swapped, logits))
