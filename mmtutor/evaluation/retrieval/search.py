"""Exact search over embeddings in blocks, so that a large gallery needs no large mask.

Knows: inner products, and how many rows to work on at once. Does not know what the metrics are:
`mmtutor.evaluation.retrieval.recall.ranks` is the plain definition that `retrieval_ranks` equals.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from mmtutor import checks

BLOCK_SCORES = 2**21  # Scores ranked at once: 8 MiB of float32, which stays near the caches.
KEPT_SCORES = 2**27  # Scores kept for the second direction: 512 MiB; beyond it they are made again.
FOLDS = 32  # `top_k` looks for the best columns among this many layers of a folded row.


class Ranks(NamedTuple):
    """Ranks of the best relevant item, 1 is best: of every image (I,) and every text (T,) int64."""

    image_to_text: Tensor
    text_to_image: Tensor


def retrieval_ranks(image: Tensor, text: Tensor, image_group: Tensor, text_group: Tensor) -> Ranks:
    """Ranks in both directions from embeddings `image` (I, D) and `text` (T, D) floating point.

    An image and a text are relevant to each other when their groups, `image_group` (I,) and
    `text_group` (T,) int64, are equal: captions carry the number of their image. Equals
    `ranks(image @ text.T, image_group[:, None] == text_group)` and its transpose, without a mask
    (I, T), and without all scores where they are more than `KEPT_SCORES`. Half precision is scored
    in float32.

    Raises ValueError for wrong shapes, NaN or infinite rows, or queries without a relevant item.
    """
    image, text = _checked(image, text, "image", "text")
    checks.indices(None, image_group=image_group, text_group=text_group)
    shapes = {"image_group": (image_group, f"{len(image)}")}
    checks.shaped(**shapes, text_group=(text_group, f"{len(text)}"))
    image_group, text_group = image_group.long(), text_group.long()
    forward = _pairs(image_group, text_group, "images", "text")
    backward = _pairs(text_group, image_group, "texts", "image")
    kept = image @ text.T if len(image) * len(text) <= KEPT_SCORES else None
    return Ranks(
        _in_blocks(image, text, forward, kept),
        _in_blocks(text, image, backward, None if kept is None else kept.T),
    )


def top_k(queries: Tensor, gallery: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest inner products of each query: values (Q, k) and gallery rows (Q, k) int64.

    `queries` (Q, D) and `gallery` (G, D) floating point. Exact, best first; the order among equal
    scores is not defined. Half precision is scored in float32.
    Raises ValueError unless 1 <= k <= G, and for wrong shapes, NaN or infinite rows.
    """
    queries, gallery = _checked(queries, gallery, "queries", "gallery")
    checks.at_least(1, k=k)
    if k > len(gallery):
        raise ValueError(f"k must be at most the gallery's {len(gallery)} rows, got {k}")
    rows = max(1, 4 * BLOCK_SCORES // len(gallery))  # as few products as the caches allow
    found = [_largest(block @ gallery.T, k) for block in queries.split(rows)]
    return torch.cat([values for values, _ in found]), torch.cat([index for _, index in found])


def _largest(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """`scores.topk(k)`, faster for long rows: fold each row into `FOLDS` layers, one on the other.

    The k largest scores lie in the k columns whose largest layer is largest, or in the tail that
    is too short to fold: only those need a closer look.
    """
    width = scores.shape[1] // FOLDS
    if width < 4 * k:
        return scores.topk(k)
    folded = scores[:, : FOLDS * width].unflatten(1, (FOLDS, width))  # [B, F, W]
    columns = folded.amax(1).topk(k, sorted=False).indices  # [B, k]
    layers = torch.arange(FOLDS, device=scores.device) * width
    tail = torch.arange(FOLDS * width, scores.shape[1], device=scores.device)
    inside = (layers[:, None] + columns[:, None]).flatten(1)  # [B, F * k]
    candidates = torch.cat([inside, tail.expand(len(scores), -1)], 1)
    values, place = scores.gather(1, candidates).topk(k)
    return values, candidates.gather(1, place)


def _in_blocks(
    queries: Tensor, gallery: Tensor, pairs: tuple[Tensor, Tensor], kept: Tensor | None
) -> Tensor:
    """Ranks (Q,) of all queries, a block of rows at a time; `kept` (Q, G) holds their scores."""
    (row, column), rows, found = pairs, max(1, BLOCK_SCORES // len(gallery)), []
    for start in range(0, len(queries), rows):
        block = slice(start, start + rows)
        scores = queries[block] @ gallery.T if kept is None else kept[block]
        mine = (start <= row) & (row < start + rows)
        found.append(_count(scores, row[mine] - start, column[mine]))
    return torch.cat(found)


def _count(scores: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """Ranks (B,) of one block of scores (B, G) whose relevant scores lie at (row, column)."""
    own = scores[row, column]
    best = scores.new_full((len(scores),), -torch.inf).scatter_reduce_(0, row, own, "amax")
    above = (scores >= best[:, None]).sum(1, dtype=torch.int32)  # int64 sums are slower
    tied = torch.zeros_like(above).index_add_(0, row, (own >= best[row]).int())
    return 1 + (above - tied).long()


def _pairs(group: Tensor, gallery_group: Tensor, queries: str, item: str) -> tuple[Tensor, Tensor]:
    """Query and gallery row of every relevant pair: sort the groups once, then look each up."""
    ordered, items = gallery_group.sort()
    first = torch.searchsorted(ordered, group)
    count = torch.searchsorted(ordered, group, right=True) - first
    lonely = count == 0
    if lonely.any():
        raise ValueError(
            f"{item}_group must hold every group of the {queries}: {int(lonely.sum())} of "
            f"{len(count)} {queries} have no relevant {item}, the first is row "
            f"{int(lonely.nonzero()[0])}"
        )
    row = torch.repeat_interleave(count)
    place = torch.arange(len(row), device=row.device) + (first - count.cumsum(0) + count)[row]
    return row, items[place]


def _checked(left: Tensor, right: Tensor, *names: str) -> tuple[Tensor, Tensor]:
    """Both as float32, or as float64 if one is; a ValueError if products could not be finite."""
    checks.shaped(**{names[0]: (left, "N D"), names[1]: (right, "M D")})
    checks.floating(**{names[0]: left, names[1]: right})
    dtype = torch.float64 if torch.float64 in (left.dtype, right.dtype) else torch.float32
    left, right = left.detach().to(dtype), right.detach().to(dtype)
    for rows, name in zip((left, right), names, strict=True):
        broken = ~rows.norm(dim=1).isfinite()
        if broken.any():
            raise ValueError(
                f"{name} must be finite, and not too large to multiply, got {int(broken.sum())} "
                f"rows that are not, the first row {int(broken.nonzero()[0])}"
            )
    return left, right
