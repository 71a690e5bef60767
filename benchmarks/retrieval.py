"""Recall at 1, 5 and 10 in both directions, five captions an image: against torchmetrics, and
against nothing but the matrix product; and the exact nearest, against faiss's flat index."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.harness import Comparison
from mmtutor.evaluation.retrieval.recall import hit_rates
from mmtutor.evaluation.retrieval.search import Ranks, retrieval_ranks, top_k

KS = (1, 5, 10)
CAPTIONS = 5
STEP = 10


def comparisons(images: int = 5_000, dim: int = 512) -> list[Comparison]:
    """Three rows; every way starts from the embeddings."""
    return [*_recall(images, dim), _neighbours(images, images * CAPTIONS, dim)]


def _recall(images: int, dim: int) -> list[Comparison]:
    generator = torch.Generator().manual_seed(0)
    texts, image_group = images * CAPTIONS, torch.arange(images)
    text_group = image_group.repeat_interleave(CAPTIONS)
    image = torch.randn(images, dim, generator=generator)
    noise = torch.randn(texts, dim, generator=generator)
    text = F.normalize(image[text_group] + 7 * noise, dim=1)  # hard enough for a middling recall
    image = F.normalize(image, dim=1)

    def ours() -> tuple[Ranks, list[dict[int, float]]]:
        both = retrieval_ranks(image, text, image_group, text_group)
        return both, [hit_rates(rank, KS) for rank in both]

    def with_torchmetrics() -> list[dict[int, float]]:
        return [
            _by_torchmetrics(image[::STEP] @ text.T, image_group[::STEP], text_group),
            _by_torchmetrics(text[::STEP] @ image.T, text_group[::STEP], image_group),
        ]

    what = f"R@1, 5, 10 both ways, {images:,} images × {texts:,} texts × {dim}"
    peer = f"torchmetrics (every {STEP}th query timed, times {STEP})"
    return [
        Comparison(
            what, peer, ours, with_torchmetrics, _same, 0.1, 3, memory_gib=1, share=1 / STEP
        ),
        Comparison(what, "the matrix product alone", ours, lambda: image @ text.T, _any, 2.5),
    ]


def _by_torchmetrics(
    scores: Tensor, query_group: Tensor, gallery_group: Tensor
) -> dict[int, float]:
    """Query by query: the metric class would first sort all pairs, once for every k."""
    from torchmetrics.functional.retrieval import retrieval_hit_rate

    hits = dict.fromkeys(KS, 0.0)
    for row, group in zip(scores, query_group, strict=True):
        target = gallery_group == group
        for k in KS:
            hits[k] += retrieval_hit_rate(row, target, top_k=k).item()
    return {k: count / len(scores) for k, count in hits.items()}


def _same(ours: tuple[Ranks, list], theirs: list[dict[int, float]]) -> None:
    """Equal on the queries that both did, but for one that rounding may move."""
    for rank, other in zip(ours[0], theirs, strict=True):
        mine = hit_rates(rank[::STEP], KS)
        allowed = 1.5 / len(rank[::STEP])
        assert all(abs(mine[k] - other[k]) < allowed for k in KS), (mine, other)


def _any(ours: tuple[Ranks, list], scores: Tensor) -> None:
    """The product has no recall to compare."""


def _neighbours(queries: int, gallery: int, dim: int, k: int = 10) -> Comparison:
    """Both ways get float32 rows of unit length and give values and indices."""
    import faiss

    faiss.omp_set_num_threads(torch.get_num_threads())
    generator = torch.Generator().manual_seed(0)
    left = F.normalize(torch.randn(queries, dim, generator=generator), dim=1)
    right = F.normalize(torch.randn(gallery, dim, generator=generator), dim=1)

    def with_faiss() -> tuple[Tensor, Tensor]:
        index = faiss.IndexFlatIP(dim)
        index.add(right.numpy())
        values, indices = index.search(left.numpy(), k)
        return torch.from_numpy(values), torch.from_numpy(indices)

    return Comparison(
        what=f"exact top {k}, {queries:,} × {gallery:,} × {dim}",
        peer="faiss-cpu IndexFlatIP",
        ours=lambda: top_k(left, right, k),
        theirs=with_faiss,
        same=_same_neighbours,
        at_most=1.1,
    )


def _same_neighbours(ours: tuple[Tensor, Tensor], theirs: tuple[Tensor, Tensor]) -> None:
    """Equal values; neighbours closer than rounding may change places."""
    torch.testing.assert_close(ours[0], theirs[0])
    assert (ours[1] == theirs[1]).float().mean() > 0.999
