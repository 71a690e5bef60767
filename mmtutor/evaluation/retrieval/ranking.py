"""Ranked lists with graded answers: nDCG, average precision, precision and recall at k.

Knows scores (Q, G), higher is better, and gains (Q, G), 0 for what is not relevant. Does not know
what was searched. The hit rate that image-text retrieval calls recall is `retrieval.recall_at_k`.

Everything starts from `ordered`, which puts ties in the order named: "worst" lists what is less
relevant first, as `retrieval.ranks` does, "best" last. Sorting without such a rule leaves the score
of a model to the order of a file. A query without a relevant item raises ValueError: its score does
not exist (trec_eval leaves it out, scikit-learn counts it as 0).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Ties = Literal["worst", "best"]


def ordered(similarity: Tensor, gain: Tensor, ties: Ties = "worst") -> Tensor:
    """Gains (Q, G) float64 in the order of falling `similarity`.

    `similarity` (Q, G) floating point; `gain` (Q, G), numbers of at least 0 or bool.
    Raises ValueError for wrong shapes, NaN, negative gains, or a query without a relevant item.
    """
    if ties not in ("worst", "best"):
        raise ValueError(f"ties must be 'worst' or 'best', got {ties!r}")
    _check(similarity, gain)
    gain, by_gain = gain.double().sort(dim=1, descending=ties == "best", stable=True)
    order = similarity.gather(1, by_gain).argsort(dim=1, descending=True, stable=True)
    return gain.gather(1, order)


def ndcg(
    similarity: Tensor,
    gain: Tensor,
    k: int | None = None,
    gains: Literal["linear", "exponential"] = "linear",
    ties: Literal["worst", "best", "mean"] = "worst",
) -> Tensor:
    """Normalised discounted cumulative gain (Q,) of the first k, in [0, 1].

    The item at rank r counts gain / log2(r + 1); the sum is divided by the best one possible.
    Two gains are in use, and they disagree: "linear" as it is (Järvelin and Kekäläinen, 2002;
    trec_eval; scikit-learn), "exponential" 2**gain - 1 (Burges et al., 2005; common in web search
    and recommendation). Say which. With ties "mean" it is the mean over all orders of tied items
    (McSherry and Najork, 2008), which scikit-learn takes.
    """
    if gains not in ("linear", "exponential"):
        raise ValueError(f"gains must be 'linear' or 'exponential', got {gains!r}")
    if k is not None and k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    _check(similarity, gain)
    gain = gain.double()
    gain = gain if gains == "linear" else 2**gain - 1
    rank = torch.arange(1, gain.shape[1] + 1, device=gain.device)
    discount = (rank + 1.0).double().log2().reciprocal()
    discount = discount * (rank <= (k or len(rank)))
    ideal = gain.sort(dim=1, descending=True).values @ discount
    found = _mean_of_ties(similarity, gain) if ties == "mean" else ordered(similarity, gain, ties)
    return found @ discount / ideal


def average_precision(similarity: Tensor, relevant: Tensor, ties: Ties = "worst") -> Tensor:
    """Mean, over a query's relevant items, of the precision at their ranks: (Q,) in (0, 1].

    `relevant` (Q, G) bool. The mean over queries is mAP. Source: Buckley and Voorhees (2000).
    """
    hit = ordered(similarity, relevant, ties)
    rank = torch.arange(1, hit.shape[1] + 1, device=hit.device)
    return (hit.cumsum(1) / rank * hit).sum(1) / hit.sum(1)


def reciprocal_rank(similarity: Tensor, relevant: Tensor, ties: Ties = "worst") -> Tensor:
    """One over the rank of the first relevant item: (Q,) in (0, 1]; its mean is MRR."""
    hit = ordered(similarity, relevant, ties)
    return 1 / (1.0 + hit.argmax(1).double())


def precision_at_k(similarity: Tensor, relevant: Tensor, k: int, ties: Ties = "worst") -> Tensor:
    """Share of the first k that is relevant: (Q,). A gallery of fewer than k still counts k."""
    return _found(similarity, relevant, k, ties) / k


def recall_at_k(similarity: Tensor, relevant: Tensor, k: int, ties: Ties = "worst") -> Tensor:
    """Share of the relevant items that is among the first k: (Q,). Recall in the proper sense.

    With five captions an image, k = 1 allows 0.2 at most; the hit rate of
    `retrieval.recall_at_k` is then 1.
    """
    return _found(similarity, relevant, k, ties) / relevant.sum(1)


def hit_at_k(similarity: Tensor, relevant: Tensor, k: int, ties: Ties = "worst") -> Tensor:
    """1.0 if any relevant item is among the first k, else 0.0: (Q,)."""
    return (_found(similarity, relevant, k, ties) > 0).double()


def _found(similarity: Tensor, relevant: Tensor, k: int, ties: Ties) -> Tensor:
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    return ordered(similarity, relevant, ties)[:, :k].sum(1)


def _mean_of_ties(similarity: Tensor, gain: Tensor) -> Tensor:
    """Gains (Q, G) in falling order of score, each replaced by the mean of those tied with it."""
    value, order = similarity.sort(dim=1, descending=True)
    step = (value.diff(dim=1) != 0).long().cumsum(1)
    group = torch.nn.functional.pad(step, (1, 0))  # [Q, G]: number of the tie
    total = torch.zeros_like(gain).scatter_add_(1, group, gain.gather(1, order))
    count = torch.zeros_like(gain).scatter_add_(1, group, torch.ones_like(gain))
    return (total / count.clamp_min(1)).gather(1, group)


def _check(similarity: Tensor, gain: Tensor) -> None:
    if similarity.ndim != 2 or similarity.shape != gain.shape or 0 in gain.shape:
        raise ValueError(
            "expected (Q, G) scores and gains with at least one row and column, "
            f"got {tuple(similarity.shape)} and {tuple(gain.shape)}"
        )
    if similarity.isnan().any():
        raise ValueError(f"row {int(similarity.isnan().any(1).nonzero()[0])} has NaN scores")
    if gain.min() < 0:
        raise ValueError(f"gains must not be negative, got {gain.min()}")
    without = ~(gain > 0).any(1)
    if without.any():
        raise ValueError(
            f"{int(without.sum())} of {len(without)} queries have no relevant item, "
            f"the first is row {int(without.nonzero()[0])}"
        )
