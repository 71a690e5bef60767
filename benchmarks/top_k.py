"""Exact top-10 by inner product, against faiss's flat index."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.harness import Comparison
from mmtutor.evaluation.retrieval.search import top_k


def comparisons(queries: int = 5_000, gallery: int = 25_000, dim: int = 512, k: int = 10):
    """One row; both ways get float32 rows of unit length and give values and indices."""
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

    return [
        Comparison(
            what=f"exact top {k}, {queries:,} × {gallery:,} × {dim}",
            peer="faiss-cpu IndexFlatIP",
            ours=lambda: top_k(left, right, k),
            theirs=with_faiss,
            same=_same,
            at_most=1.1,
        )
    ]


def _same(ours: tuple[Tensor, Tensor], theirs: tuple[Tensor, Tensor]) -> None:
    """Equal values; neighbours closer than rounding may change places."""
    torch.testing.assert_close(ours[0], theirs[0])
    assert (ours[1] == theirs[1]).float().mean() > 0.999
