"""How well a model retrieves: ranks, recall at k, median rank, mean reciprocal rank, mAP.

Knows: scores, which items are relevant to which query, and how to count fairly.
Does not know: how embeddings were trained, nor where the images came from. The fast form behind
large evaluations is `mmtutor.evaluation.retrieval.search`, equal to `ranks`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from scipy.stats import hypergeom
from torch import Tensor, nn

from mmtutor import checks
from mmtutor.data.dataset import Dataset
from mmtutor.evaluation.classification.scores import as_weights
from mmtutor.evaluation.predict import outputs
from mmtutor.evaluation.retrieval.search import Ranks, retrieval_ranks

KS = (1, 5, 10)


def ranks(similarity: Tensor, relevant: Tensor) -> Tensor:
    """Rank of the best relevant item of every query, (Q,) int64, 1 is best.

    `similarity` (Q, G) floating point, higher is better; `relevant` (Q, G) bool, or 1 and 0: a
    graded relevance is refused. The rank is one plus the number of irrelevant items that score at
    least as high as the best relevant one. Ties count against the model: otherwise one that gives
    everything the same score would be perfect. Relevant items never push each other down.

    Raises TypeError for wrong dtypes, and ValueError for wrong shapes, scores that are NaN or
    infinite (minus infinity keeps an item out), or queries that have no relevant item (their rank
    does not exist, and leaving them out would flatter).
    """
    relevant = _relevant(similarity, relevant)
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
    relevant = _relevant(similarity, relevant)
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
    relevant = checks.as_mask(relevant=relevant)
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
    ks = _checked_ks(ks)
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
    there is no batch, or an embedding is not finite.
    """
    checks.instance(nn.Module, model=model)
    checks.instance((Dataset, Iterable), data=data)
    images, texts, groups = [], [], []
    for batch, output in outputs(model, data):
        images.append(output.image.float())
        texts.append(output.text.float())
        groups += [batch["group"]] if "group" in batch else []
    if groups and len(groups) < len(images):
        raise ValueError(
            f"data must have a group in all batches or in none, got {len(groups)} of {len(images)}"
        )
    image, text = torch.cat(images), torch.cat(texts)
    checks.finite(**{"the model's image": image, "the model's text": text})
    group = torch.cat(groups) if groups else torch.arange(len(image), device=image.device)
    return image, text, group


def chance_recall(relevant: Tensor, ks: Sequence[int] = KS) -> dict[int, float]:
    """Expected `recall_at_k` of a random order, exactly, from `relevant` (Q, G) bool.

    With m of G items relevant, k draws without replacement miss them all with probability
    C(G-m, k) / C(G, k) (hypergeometric), so one relevant item gives k / G.
    """
    relevant = checks.as_mask(relevant=relevant)
    checks.shaped(relevant=(relevant, "Q G"))
    _has_relevant(relevant)
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
    checks.shaped(weights=(weights, f"{len(values)}"))
    weights = as_weights(weights, len(values)).to(values)
    return (values @ weights / weights.sum()).item()


def _checked_ks(ks: Sequence[int]) -> list[int]:
    ks = checks.listed(int, ks=ks)
    checks.same_length(ks=ks)
    for k in ks:
        checks.at_least(1, ks=k)
    return ks


def _check_ranks(rank: Tensor) -> None:
    checks.shaped(rank=(rank, "Q"))
    checks.indices(None, rank=rank)
    checks.within("[1, inf)", rank=rank)


def _relevant(similarity: Tensor, relevant: Tensor) -> Tensor:
    """What is relevant, as bool, after a look at both."""
    relevant = checks.as_mask(relevant=relevant)
    checks.shaped(similarity=(similarity, "Q G"), relevant=(relevant, "Q G"))
    checks.floating(similarity=similarity)
    if not similarity.amax().isfinite():  # minus infinity keeps an item out, and is no error
        lowest = torch.finfo(similarity.dtype).min
        checks.finite(similarity=similarity.clamp(min=lowest))
    _has_relevant(relevant)
    return relevant


def _has_relevant(relevant: Tensor) -> None:
    without = ~relevant.any(1)
    if without.any():
        raise ValueError(
            f"relevant must be True somewhere in each row: {int(without.sum())} of {len(without)} "
            f"queries have no relevant item, the first is row {int(without.nonzero()[0])}"
        )
