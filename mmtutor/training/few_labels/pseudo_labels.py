"""Labels that a model gives to examples nobody has labelled: pseudo-labels and FixMatch.

Knows a batch with labelled pictures and others beside them; does not know what the classes are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mmtutor import checks
from mmtutor.data.batch import require
from mmtutor.losses.classification import class_loss, softmax

Change = Callable[[Tensor], Tensor]


class _TwoViewsOutput(NamedTuple):
    """`logits` (B, C) of labelled pictures; `weak` and `strong` (U, C) of two views of others."""

    logits: Tensor
    weak: Tensor
    strong: Tensor


class Cutout:
    """Greys out one square of each picture (DeVries and Taylor 2017), its centre drawn anywhere.

    Args:
        side: of the square, in pixels; what lies beyond the edge is cut off.
    """

    def __init__(self, side: int) -> None:
        checks.at_least(1, side=side)
        self.side = side

    def __call__(self, image: Tensor) -> Tensor:
        """(B, C, H, W) float in [0, 1] -> the same, one half within the square."""
        checks.floating(image=image)
        sizes = checks.shaped(image=(image, "B C H W"))
        inside = []
        for length in (sizes["H"], sizes["W"]):
            start = torch.randint(length, (sizes["B"], 1), device=image.device) - self.side // 2
            place = torch.arange(length, device=image.device)
            inside.append((place >= start) & (place < start + self.side))  # [B, length]
        rows, columns = inside
        return image.masked_fill((rows[:, :, None] & columns[:, None])[:, None], 0.5)


class TwoViews(nn.Module):
    """A classifier that in training also looks twice at pictures without labels.

    In evaluation, and where the batch has no `unlabelled`, it is the classifier itself.

    Args:
        model: a classifier of `batch["image"]` whose output has `logits`.
        weak: changes a picture so little that its class can be read off: for all pictures.
        strong: changes it a lot, but not its class. Both take and give (B, 3, H, W) in [0, 1].
    """

    def __init__(self, model: nn.Module, weak: Change, strong: Change) -> None:
        super().__init__()
        checks.instance(nn.Module, model=model)
        checks.instance(Callable, weak=weak, strong=strong)
        self.model, self.weak, self.strong = model, weak, strong

    def forward(self, batch: dict[str, Tensor]) -> NamedTuple:
        """`image` (B, 3, H, W) in [0, 1], `unlabelled` (B, R, 3, H, W) uint8 -> both outputs.

        All pictures go through the model as one batch, so that its batch statistics are theirs.
        """
        require(batch, "image")
        if not self.training or "unlabelled" not in batch:
            return self.model(batch)
        image, others = batch["image"], batch["unlabelled"]
        checks.shaped(image=(image, "B 3 H W"), unlabelled=(others, "B R 3 H W"))
        others = others.flatten(0, 1).to(image.dtype) / 255  # [U, 3, H, W]
        seen = torch.cat([self.weak(image), self.weak(others), self.strong(others)])
        logits = self.model({"image": seen}).logits
        return _TwoViewsOutput(*logits.split([len(image), len(others), len(others)]))


def pseudo_labels(logits: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
    """The likeliest class (U,) int64 of each row, and whether it is likely enough (U,) bool.

    Args:
        logits: (U, C) floating point; no gradient goes back through them.
        threshold: in [0, 1], the least probability.
    """
    checks.shaped(logits=(logits, "U C"))
    checks.within("[0, 1]", threshold=threshold)
    probability, label = softmax(logits.detach()).max(dim=1)
    return label, probability >= threshold


class FixMatch(nn.Module):
    """Cross-entropy of labelled pictures, and of strongly changed ones under the label that the
    model gives to a weakly changed view, where it is sure of it (Sohn et al. 2020, eq. 3 and 4).

    With `threshold` 0, one kind of view and a `warmup` it is the pseudo-label of Lee (2013).

    Args:
        threshold: least probability of a pseudo-label, in [0, 1].
        weight: of the second term, at least 0.
        warmup: training steps over which the weight rises from 0; 0 for none.
    """

    def __init__(self, threshold: float = 0.95, weight: float = 1.0, warmup: int = 0) -> None:
        super().__init__()
        checks.within("[0, 1]", threshold=threshold)
        checks.within("[0, inf)", weight=weight)
        checks.at_least(0, warmup=warmup)
        self.threshold, self.weight, self.warmup = threshold, weight, warmup
        self.register_buffer("steps", torch.tensor(0))

    def forward(self, output: NamedTuple, batch: dict[str, Tensor]) -> Tensor:
        """A scalar; `output` as of `TwoViews`, `batch["label"]` (B,) int64.

        The second term is divided by all U pictures, those left out included.
        """
        require(batch, "label")
        labelled = class_loss(output.logits, batch["label"])
        label, sure = pseudo_labels(output.weak, self.threshold)
        others = class_loss(output.strong, label, reduction="none", names=("strong", "weak"))
        return labelled + self._share() * self.weight * (sure * others).mean()

    def _share(self) -> float:
        """How much of the weight counts by now; counts one training step."""
        if self.training:
            self.steps += 1
        return min(1.0, self.steps.item() / self.warmup) if self.warmup else 1.0
