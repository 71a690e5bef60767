"""Exact search over embeddings, in blocks: top-k, and ranks in both directions.

Knows: inner products, and how to count or select without sorting and without holding a mask.
Does not know: what the metrics are (`mmtutor.evaluation.retrieval.recall`, whose `ranks` is the
definition that `retrieval_ranks` must equal).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

BLOCK_SCORES = 2**23  # Scores worked on at once: 32 MiB of float32, which stays near the caches.
KEPT_SCORES = 2**27  # Scores kept for the second direction: 512 MiB; beyond it they are made again.
FOLDS = 32  # `top_k` looks for the best columns among this many folded on top of each other.


class Ranks(NamedTuple):
    """Ranks of the best relevant item, 1 is best: of every image (I,) and every text (T,) int64."""

    image_to_text: Tensor
    text_to_image: Tensor


class _Pairs(NamedTuple):
    """Relevant items: those of query q are `items[start[q] : start[q] + count[q]]`."""

    items: Tensor
    start: Tensor
    count: Tensor

    def of(self, begin: int, end: int) -> tuple[Tensor, Tensor]:
        """Row (counted from `begin`) and column of every relevant score of queries begin to end."""
        count = self.count[begin:end]
        row = torch.repeat_interleave(count)
        first = self.start[begin:end] - count.cumsum(0) + count  # [rows]
        return row, self.items[torch.arange(len(row), device=row.device) + first[row]]


def retrieval_ranks(image: Tensor, text: Tensor, image_group: Tensor, text_group: Tensor) -> Ranks:
    """Ranks in both directions from embeddings `image` (I, D) and `text` (T, D) floating point.

    An image and a text are relevant to each other when their groups, `image_group` (I,) and
    `text_group` (T,) int64, are equal: captions carry the number of their image. Equals
    `retrieval.ranks` of the inner products, ties counted against the model, but counts the scores
    at or above the best relevant one block by block: nothing is sorted and no (I, T) mask exists.
    Up to `KEPT_SCORES` scores are kept for the second direction, more are computed again. Half
    precision is scored in float32.

    Raises ValueError for wrong shapes, NaN or infinite rows, or queries without a relevant item.
    """
    image, text = _checked_embeddings(image, text, "image", "text")
    _check_group(image_group, image, "image_group")
    _check_group(text_group, text, "text_group")
    if len(image) * len(text) <= KEPT_SCORES:
        scores = image @ text.T  # [I, T]
        forward, backward = _slices(scores), _slices(scores.T)
    else:
        forward, backward = _products(image, text), _products(text, image)
    return Ranks(
        _block_ranks(forward, _pair(image_group, text_group, "images", "text"), len(text)),
        _block_ranks(backward, _pair(text_group, image_group, "texts", "image"), len(image)),
    )


def top_k(queries: Tensor, gallery: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest inner products of each query: values (Q, k) and gallery rows (Q, k) int64.

    `queries` (Q, D) and `gallery` (G, D) floating point. Exact, best first; the order among equal
    scores is not defined. Half precision is scored in float32.
    Raises ValueError unless 1 <= k <= G, and for wrong shapes, NaN or infinite rows.
    """
    queries, gallery = _checked_embeddings(queries, gallery, "queries", "gallery")
    if not 1 <= k <= len(gallery):
        raise ValueError(f"k must lie between 1 and the gallery's {len(gallery)} rows, got {k}")
    score = _products(queries, gallery)
    rows = max(1, BLOCK_SCORES // len(gallery))
    found = [_largest(score(begin, begin + rows), k) for begin in range(0, len(queries), rows)]
    return torch.cat([value for value, _ in found]), torch.cat([index for _, index in found])


def _largest(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """`scores.topk(k)` for long rows: fold each row, keep the k columns with the largest maxima.

    The k largest scores lie in at most k columns of the folded row, and no column outside the k
    with the largest maxima can hold a larger one: only those and the tail need a closer look.
    """
    width = scores.shape[1] // FOLDS
    if width < 4 * k:
        return scores.topk(k)
    folded = scores[:, : FOLDS * width].unflatten(1, (FOLDS, width))  # [B, F, W]
    columns = folded.amax(1).topk(k, sorted=False).indices  # [B, k]
    offsets = torch.arange(FOLDS, device=scores.device) * width
    inside = (offsets[:, None] + columns[:, None]).flatten(1)  # [B, F * k]
    tail = torch.arange(FOLDS * width, scores.shape[1], device=scores.device)
    candidates = torch.cat([inside, tail.expand(len(scores), -1)], 1)
    value, place = scores.gather(1, candidates).topk(k)
    return value, candidates.gather(1, place)


def _block_ranks(score: Callable[[int, int], Tensor], pairs: _Pairs, gallery: int) -> Tensor:
    """Ranks (Q,) int64, where `score(begin, end)` gives the scores of these queries."""
    queries = len(pairs.count)
    rows = max(1, BLOCK_SCORES // gallery)
    return torch.cat(
        [
            _count(score(begin, min(begin + rows, queries)), *pairs.of(begin, begin + rows))
            for begin in range(0, queries, rows)
        ]
    )


def _count(scores: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """Ranks (B,) of one block of scores (B, G) whose relevant scores lie at (row, column)."""
    relevant = scores[row, column]
    best = scores.new_full((len(scores),), -torch.inf).scatter_reduce_(0, row, relevant, "amax")
    above = (scores >= best[:, None]).sum(1, dtype=torch.int32)  # int64 sums are three times slower
    own = torch.zeros_like(above).index_add_(0, row, (relevant >= best[row]).int())
    return 1 + (above - own).long()


def _slices(scores: Tensor) -> Callable[[int, int], Tensor]:
    return lambda begin, end: scores[begin:end]


def _products(queries: Tensor, gallery: Tensor) -> Callable[[int, int], Tensor]:
    return lambda begin, end: queries[begin:end] @ gallery.T


def _pair(query_group: Tensor, gallery_group: Tensor, queries: str, item: str) -> _Pairs:
    """Which gallery rows are relevant to which query: sort the groups once, then look each up."""
    ordered, items = gallery_group.sort()
    start = torch.searchsorted(ordered, query_group)
    count = torch.searchsorted(ordered, query_group, right=True) - start
    lonely = count == 0
    if lonely.any():
        raise ValueError(
            f"{int(lonely.sum())} of {len(count)} {queries} have no relevant {item}, "
            f"the first is row {int(lonely.nonzero()[0])}"
        )
    return _Pairs(items, start, count)


def _check_group(group: Tensor, embeddings: Tensor, name: str) -> None:
    if group.shape != embeddings.shape[:1] or group.dtype != torch.int64:
        raise ValueError(
            f"{name} must be ({len(embeddings)},) int64, got {tuple(group.shape)} {group.dtype}"
        )


def _checked_embeddings(left: Tensor, right: Tensor, *names: str) -> tuple[Tensor, Tensor]:
    """Both as float32, or as float64 if one is; a ValueError if products could not be finite."""
    shapes = tuple(left.shape), tuple(right.shape)
    if left.ndim != 2 or right.ndim != 2 or left.shape[1] != right.shape[1] or 0 in left.shape:
        raise ValueError(f"{names[0]} and {names[1]} must be (N, D) and (M, D), got {shapes}")
    if 0 in right.shape:
        raise ValueError(f"{names[1]} must have at least one row, got {shapes[1]}")
    dtype = torch.float64 if torch.float64 in (left.dtype, right.dtype) else torch.float32
    left, right = left.detach().to(dtype), right.detach().to(dtype)
    for embeddings, name in zip((left, right), names, strict=True):
        broken = ~embeddings.norm(dim=1).isfinite()
        if broken.any():
            raise ValueError(
                f"{int(broken.sum())} rows of {name} are NaN, infinite or too large, "
                f"the first is row {int(broken.nonzero()[0])}"
            )
    return left, right
