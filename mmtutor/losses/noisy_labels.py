"""Losses for data that cannot be taken at their word: wrong labels, and unequal weights.

Knows logits, labels and weights; knows nothing of models, or of who made the labels.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from mmtutor import checks
from mmtutor.data.batch import require
from mmtutor.losses.classification import class_loss, in_range


class GeneralisedCrossEntropy(nn.Module):
    """(1 - p^q) / q of the label's probability p, averaged (Zhang and Sabuncu 2018, eq. 6).

    Near q = 0 it is cross-entropy, at q = 1 it is 1 - p, half the absolute error: bounded, so that
    a label the model is sure to be wrong pulls no harder than any other.

    Args:
        q: in (0, 1].
    """

    def __init__(self, q: float = 0.7) -> None:
        super().__init__()
        checks.within("(0, 1]", q=q)
        self.q = q

    def forward(self, output: NamedTuple, batch: dict[str, Tensor]) -> Tensor:
        """A scalar; `output.logits` (B, C), `batch["label"]` (B,) int64."""
        log_p = -_each(output.logits, batch)
        return (-torch.expm1(self.q * log_p) / self.q).mean()


class SmallLoss(nn.Module):
    """Cross-entropy of those examples of a batch on which it is smallest.

    Networks learn what is regular before they learn wrong labels by heart, so a large loss after
    some steps is a sign of a wrong label. The share that is kept falls from 1 to `keep` over the
    first `warmup` steps in training (Han et al. 2018, section 3).

    Args:
        keep: in (0, 1]: one less the share of wrong labels.
        warmup: training steps over which the rest is let go.
    """

    def __init__(self, keep: float, warmup: int) -> None:
        super().__init__()
        checks.within("(0, 1]", keep=keep)
        checks.at_least(1, warmup=warmup)
        self.keep, self.warmup = keep, warmup
        self.register_buffer("steps", torch.tensor(0))

    def forward(self, output: NamedTuple, batch: dict[str, Tensor]) -> Tensor:
        """A scalar; `output.logits` (B, C), `batch["label"]` (B,) int64."""
        loss = _each(output.logits, batch)
        return _mean_of_smallest(loss, loss, self.share())

    def share(self) -> float:
        """How much of this batch to keep; counts one training step."""
        if self.training:
            self.steps += 1
        return 1 - (1 - self.keep) * min(1.0, self.steps.item() / self.warmup)


class CoTeaching(SmallLoss):
    """Two networks, each taught by what has a small loss for the *other* (Han et al. 2018).

    A network that selects for itself also keeps the wrong labels that it already believes; two
    networks start differently and err differently. Arguments as in `SmallLoss`.
    """

    def forward(self, output: NamedTuple, batch: dict[str, Tensor]) -> Tensor:
        """A scalar; `output.pair` (2, B, C): the logits of either network."""
        checks.shaped(pair=(output.pair, "2 B C"))
        checks.floating(pair=output.pair)
        one, two = (_each(logits, batch) for logits in output.pair)
        share = self.share()
        return (_mean_of_smallest(one, two, share) + _mean_of_smallest(two, one, share)) / 2


def _mean_of_smallest(loss: Tensor, judge: Tensor, share: float) -> Tensor:
    """Mean loss of those of (B,) that `judge` finds easiest: the share rounded, but at least one.

    NaN where any loss is: a network that has diverged is not to be kept in the dark.
    """
    easiest = judge.detach().topk(max(1, round(share * len(judge))), largest=False).indices
    return loss[easiest].mean().masked_fill((loss + judge).isnan().any(), torch.nan)


def weighted_cross_entropy(output: NamedTuple, batch: dict[str, Tensor]) -> Tensor:
    """Cross-entropy in which each example counts as `batch["weight"]` (B,) says: a scalar.

    The sum is divided by the number of examples, not by their weights: a batch that happens to hold
    no heavy example must not count for more. Weights should have mean 1 over the data.
    """
    require(batch, "weight")
    losses, weight = _each(output.logits, batch), batch["weight"]
    checks.shaped(logits=(output.logits, "B C"), weight=(weight, "B"))
    in_range("[0, inf)", weight=weight)
    return (weight * losses).mean()


def inverse_frequency(kind: Tensor) -> Tensor:
    """Weights (N,) float32 of mean 1 that give each kind (N,) of example the same total.

    A kind, an integer, can be a class, a group of people, or both in one number.
    """
    checks.shaped(kind=(kind, "N"))
    if kind.is_floating_point() or kind.is_complex():
        raise TypeError(f"kind must be integers, got {kind.dtype}")
    _, place, count = kind.unique(return_inverse=True, return_counts=True)
    return (len(kind) / (len(count) * count.float()))[place]


def _each(logits: Tensor, batch: dict[str, Tensor]) -> Tensor:
    """Cross-entropy (B,) of each example, in nats."""
    require(batch, "label")
    return class_loss(logits, batch["label"], reduction="none")
