"""How well a model retrieves: ranks, recall at k, median rank, mean reciprocal rank, mAP.

Knows: scores, which items are relevant to which query, and how to count fairly.
Does not know: how embeddings were trained, nor where the pictures came from. The fast form behind
large evaluations is `mmtutor.evaluation.retrieval.search`, equal to `ranks`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from scipy.stats import hypergeom
from torch import Tensor, nn

from mmtutor.data.dataset import Dataset
from mmtutor.evaluation.predict import outputs
from mmtutor.evaluation.retrieval.search import Ranks, retrieval_ranks

KS = (1, 5, 10)


def ranks(similarity: Tensor, relevant: Tensor) -> Tensor:
    """Rank of the best relevant item of every query, (Q,) int64, 1 is best.

    `similarity` (Q, G) floating point, higher is better; `relevant` (Q, G) bool. The rank is one
    plus the number of irrelevant items that score at least as high as the best relevant one. Ties
    count against the model: otherwise one that gives everything the same score would be perfect.
    Relevant items never push each other down.

    Raises TypeError for wrong dtypes, and ValueError for wrong shapes, NaN scores, or queries
    that have no relevant item (their rank does not exist, and leaving them out would flatter).
    """
    _check_scores(similarity, relevant)
    best = similarity.masked_fill(~relevant, -torch.inf).amax(1, keepdim=True)  # [Q, 1]
    return 1 + ((similarity >= best) & ~relevant).sum(1)


def recall_at_k(
    similarity: Tensor, relevant: Tensor, ks: Sequence[int] = KS, weights: Tensor | None = None
) -> dict[int, float]:
    """Share of queries, in [0, 1], with at least one relevant item among the first k, for each k.

    This is the "recall@K" of the image-text retrieval literature (Hodosh, Young and Hockenmaier,
    2013), a hit rate: a query with five captions counts once any of them is found. Arguments, ties
    and errors as in `ranks`; `weights` (Q,) says how much each query counts.
    """
    return hit_rates(ranks(similarity, relevant), ks, weights)


def hit_rates(
    rank: Tensor, ks: Sequence[int] = KS, weights: Tensor | None = None
) -> dict[int, float]:
    """Share of `rank` (Q,) int64 that is at most k, for each k: recall at k from known ranks."""
    _check_ranks(rank)
    return {k: _mean(rank <= k, weights) for k in _checked_ks(ks)}


def median_rank(rank: Tensor) -> float:
    """Median of `rank` (Q,) int64, 1 is best; the mean of the middle two when Q is even."""
    _check_ranks(rank)
    return float(np.median(rank.cpu()))


def mean_reciprocal_rank(rank: Tensor, weights: Tensor | None = None) -> float:
    """Mean of 1 / rank over queries, in (0, 1], from `rank` (Q,) int64 (Voorhees, TREC-8, 1999)."""
    _check_ranks(rank)
    return _mean(1 / rank.double(), weights)


def mean_average_precision(
    similarity: Tensor, relevant: Tensor, weights: Tensor | None = None
) -> float:
    """Mean, over queries, of the mean precision at the ranks of the relevant items, in (0, 1].

    Ties are listed relevant items last, as in `ranks`, whose arguments and errors it shares;
    `weights` (Q,) says how much each query counts. Source: Buckley and Voorhees (2000).
    """
    _check_scores(similarity, relevant)
    irrelevant_first = relevant.byte().argsort(dim=1, stable=True)
    order = similarity.gather(1, irrelevant_first).argsort(dim=1, descending=True, stable=True)
    hit = relevant.gather(1, irrelevant_first.gather(1, order)).double()  # [Q, G], best score first
    precision = hit.cumsum(1) / torch.arange(1, hit.shape[1] + 1, device=hit.device)
    return _mean((precision * hit).sum(1) / hit.sum(1), weights)


def retrieval_report(
    similarity: Tensor, relevant: Tensor, ks: Sequence[int] = KS
) -> dict[str, float]:
    """Recall, median rank, mean reciprocal rank and chance, in both directions, ready to log.

    `similarity` (I, T) floating point and `relevant` (I, T) bool: several captions per image, or
    several images per caption, are several True in a row or column. Keys are the direction followed
    by the number: `image_to_text_recall_at_1`, `text_to_image_median_rank`,
    `image_to_text_mean_reciprocal_rank`, `image_to_text_chance_at_1` …
    """
    both = Ranks(ranks(similarity, relevant), ranks(similarity.T, relevant.T))
    return _report(both, (chance_recall(relevant, ks), chance_recall(relevant.T, ks)), ks)


def evaluate_retrieval(
    model: nn.Module, data: Dataset | Iterable[dict[str, Tensor]], ks: Sequence[int] = KS
) -> dict[str, float]:
    """The report of `retrieval_report` for a `DualEncoder` on every example of `data`.

    Row i of a batch is an image and its caption. Where the batch has `group` (B,) int64, all images
    and captions of one group are relevant to each other; otherwise only the pair is. The model runs
    in evaluation mode on the device where it lies, and is left in the mode it came in.
    """
    image, text, group = embed(model, data)
    both = retrieval_ranks(image, text, group, group)
    _, index, size = group.unique(return_inverse=True, return_counts=True)
    chance = _chance(size[index], len(group), ks)
    return _report(both, (chance, chance), ks)


def embed(
    model: nn.Module, data: Dataset | Iterable[dict[str, Tensor]]
) -> tuple[Tensor, Tensor, Tensor]:
    """Image (N, D) and text (N, D) embeddings of a data set, or batches; and groups (N,) int64.

    The model runs in evaluation mode on the device where it lies, and is left in the mode it came
    in. Without `group` in the batches every row is a group of its own. Raises ValueError if
    there is no batch.
    """
    images, texts, groups = [], [], []
    for batch, output in outputs(model, data):
        images.append(output.image.float())
        texts.append(output.text.float())
        groups += [batch["group"]] if "group" in batch else []
    if groups and len(groups) < len(images):
        raise ValueError(f"only {len(groups)} of {len(images)} batches have a `group`")
    image, text = torch.cat(images), torch.cat(texts)
    group = torch.cat(groups) if groups else torch.arange(len(image), device=image.device)
    return image, text, group


def chance_recall(relevant: Tensor, ks: Sequence[int] = KS) -> dict[int, float]:
    """Expected `recall_at_k` of a random order, exactly, from `relevant` (Q, G) bool.

    With m of G items relevant, k draws without replacement miss them all with probability
    C(G-m, k) / C(G, k) (hypergeometric), so one relevant item gives k / G.
    """
    if relevant.dtype != torch.bool or relevant.ndim != 2 or 0 in relevant.shape:
        raise ValueError(f"relevant must be a non-empty (Q, G) bool tensor, got {_say(relevant)}")
    return _chance(relevant.sum(1), relevant.shape[1], ks)


def _report(
    both: Ranks, chance: tuple[dict[int, float], dict[int, float]], ks: Sequence[int]
) -> dict[str, float]:
    report: dict[str, float] = {}
    for direction, rank, expected in zip(Ranks._fields, both, chance, strict=True):
        for k, rate in hit_rates(rank, ks).items():
            report[f"{direction}_recall_at_{k}"] = rate
        report[f"{direction}_median_rank"] = median_rank(rank)
        report[f"{direction}_mean_reciprocal_rank"] = mean_reciprocal_rank(rank)
        for k, rate in expected.items():
            report[f"{direction}_chance_at_{k}"] = rate
    return report


def _chance(relevant_count: Tensor, gallery_size: int, ks: Sequence[int]) -> dict[int, float]:
    """Chance recall when query q has `relevant_count[q]` relevant items out of `gallery_size`."""
    counts, queries = relevant_count.cpu().unique(return_counts=True)
    missed = {
        k: hypergeom.pmf(0, gallery_size, counts, min(k, gallery_size)) for k in _checked_ks(ks)
    }
    return {k: 1 - float(np.average(of_k, weights=queries)) for k, of_k in missed.items()}


def _mean(values: Tensor, weights: Tensor | None) -> float:
    """Mean of `values` (Q,), each counted as often as `weights` (Q,) says."""
    values = values.double()
    if weights is None:
        return values.mean().item()
    if weights.shape != values.shape or not weights.min() >= 0 or weights.sum() == 0:
        raise ValueError(
            f"weights must be ({len(values)},), at least 0 and not all 0, got {_say(weights)}"
        )
    return (values @ weights.double() / weights.sum()).item()


def _checked_ks(ks: Sequence[int]) -> tuple[int, ...]:
    ks = tuple(ks)
    if not ks or min(ks) < 1:
        raise ValueError(f"ks must hold whole numbers of at least 1, got {ks}")
    return ks


def _check_ranks(rank: Tensor) -> None:
    if rank.ndim != 1 or rank.is_floating_point() or rank.numel() == 0 or rank.min() < 1:
        raise ValueError(
            f"ranks must be a non-empty (Q,) integer tensor of at least 1, got {_say(rank)}"
        )


def _check_scores(similarity: Tensor, relevant: Tensor) -> None:
    if not similarity.is_floating_point():
        raise TypeError(f"similarity must be floating point, got {similarity.dtype}")
    if relevant.dtype != torch.bool:
        raise TypeError(f"relevant must be bool, got {relevant.dtype}")
    if similarity.ndim != 2 or similarity.shape != relevant.shape or 0 in similarity.shape:
        raise ValueError(
            "similarity and relevant must both be (Q, G) with at least one row and column, "
            f"got {tuple(similarity.shape)} and {tuple(relevant.shape)}"
        )
    without = ~relevant.any(1)
    if without.any():
        raise ValueError(
            f"{int(without.sum())} of {len(without)} queries have no relevant item, "
            f"the first is row {int(without.nonzero()[0])}"
        )
    broken = similarity.isnan()
    if broken.any():
        row, column = broken.nonzero()[0].tolist()
        raise ValueError(
            f"similarity has {int(broken.sum())} NaN scores, "
            f"the first at row {row}, column {column}"
        )


def _say(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} {tensor.dtype}"
