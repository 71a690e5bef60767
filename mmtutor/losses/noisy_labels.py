"""Losses for data that cannot be taken at their word: wrong labels, and unequal weights.

Knows logits, labels and weights; knows nothing of models, or of who made the labels.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmtutor.data.batch import require


class GeneralisedCrossEntropy(nn.Module):
    """(1 - p^q) / q of the label's probability p, averaged (Zhang and Sabuncu 2018, eq. 6).

    Near q = 0 it is cross-entropy, at q = 1 it is 1 - p, half the absolute error: bounded, so that
    a label the model is sure to be wrong pulls no harder than any other.

    Args:
        q: in (0, 1].
    """

    def __init__(self, q: float = 0.7) -> None:
        super().__init__()
        if not 0 < q <= 1:
            raise ValueError(f"q is {q}: expected a number in (0, 1]")
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
        if not 0 < keep <= 1 or warmup < 1:
            raise ValueError(f"got keep={keep}, warmup={warmup}: expected (0, 1] and at least 1")
        self.keep, self.warmup = keep, warmup
        self.register_buffer("steps", torch.tensor(0))

    def forward(self, output: NamedTuple, batch: dict[str, Tensor]) -> Tensor:
        """A scalar; `output.logits` (B, C), `batch["label"]` (B,) int64."""
        loss = _each(output.logits, batch)
        return loss[_smallest(loss, self.share())].mean()

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
        one, two = (_each(logits, batch) for logits in output.pair)
        share = self.share()
        return (one[_smallest(two, share)].mean() + two[_smallest(one, share)].mean()) / 2


def _smallest(loss: Tensor, share: float) -> Tensor:
    """Which examples of (B,) have the smallest losses, the share rounded, but at least one."""
    return loss.detach().topk(max(1, round(share * len(loss))), largest=False).indices


def weighted_cross_entropy(output: NamedTuple, batch: dict[str, Tensor]) -> Tensor:
    """Cross-entropy in which each example counts as `batch["weight"]` (B,) says: a scalar.

    The sum is divided by the number of examples, not by their weights: a batch that happens to hold
    no heavy example must not count for more. Weights should have mean 1 over the data.
    """
    require(batch, "weight")
    return (batch["weight"] * _each(output.logits, batch)).mean()


def inverse_frequency(kind: Tensor) -> Tensor:
    """Weights (N,) float32 of mean 1 that give each kind (N,) of example the same total.

    A kind can be a class, a group of people, or both in one number.
    """
    _, place, count = kind.unique(return_inverse=True, return_counts=True)
    return (len(kind) / (len(count) * count.float()))[place]


def _each(logits: Tensor, batch: dict[str, Tensor]) -> Tensor:
    """Cross-entropy (B,) of each example, in nats."""
    require(batch, "label")
    return F.cross_entropy(logits.float(), batch["label"], reduction="none")
