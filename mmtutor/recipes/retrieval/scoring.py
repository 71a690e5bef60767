"""Scoring a dual encoder on one or several galleries: what the retrieval recipes report.

Knows similarities, right answers and intervals; knows nothing of data sets or of training.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from mmtutor.data import Dataset, loader
from mmtutor.evaluation.retrieval import recall as retrieval
from mmtutor.evaluation.retrieval.recall import (
    chance_recall,
    hit_rates,
    mean_reciprocal_rank,
    median_rank,
    ranks,
)
from mmtutor.evaluation.statistics.intervals import bootstrap_interval
from mmtutor.models import DualEncoder

KS = (1, 5, 10)


class Scores(NamedTuple):
    """One fold's test: similarity (N, N) of picture i and caption j, and caption numbers (N,)."""

    similarity: Tensor
    group: Tensor

    @property
    def relevant(self) -> Tensor:
        """(N, N) bool: caption j is a right answer to picture i."""
        return self.group[:, None] == self.group

    def ranks(self) -> dict[str, Tensor]:
        """Rank (N,) of the best right answer, per direction."""
        return {
            "image_to_text": ranks(self.similarity, self.relevant),
            "text_to_image": ranks(self.similarity.T, self.relevant),
        }


def score(model: DualEncoder, test: Dataset) -> Scores:
    """Compare every picture of `test` with every caption of it."""
    image, text, group = embed(model, test)
    return Scores(image @ text.T, group)


def embed(model: DualEncoder, data: Dataset) -> tuple[Tensor, Tensor, Tensor]:
    """Embeddings of pictures (N, D) and captions (N, D), and `group` (N,), on the CPU."""
    image, text, group = retrieval.embed(model, loader(data, 64))
    return image.cpu(), text.cpu(), group.cpu()


def summary(scores: list[Scores]) -> dict[str, Any]:
    """Both directions and their mean over folds: recall with 95 % intervals, ranks, and chance.

    Intervals come from a bootstrap over captions, because pictures that share one are not
    independent.
    """
    groups = torch.cat([one.group for one in scores])
    by_direction = [one.ranks() for one in scores]
    report: dict[str, Any] = {
        "queries": len(groups),
        "gallery_sizes": [len(s.group) for s in scores],
    }
    pooled = {}
    for direction in ("image_to_text", "text_to_image"):
        rank = pooled[direction] = torch.cat([one[direction] for one in by_direction])
        report[direction] = {
            **{f"recall_at_{k}": interval(rank <= k, groups) for k in KS},
            "median_rank": median_rank(rank),
            "mean_reciprocal_rank": mean_reciprocal_rank(rank),
            "folds": [hit_rates(one[direction], KS) for one in by_direction],
        }
    both = torch.stack(list(pooled.values()))
    report["mean"] = {f"recall_at_{k}": interval((both <= k).double().mean(0), groups) for k in KS}
    chances = [chance_recall(one.relevant, KS) for one in scores]
    weights = torch.tensor([float(len(one.group)) for one in scores])
    report["chance"] = {
        f"recall_at_{k}": (torch.tensor([c[k] for c in chances]) @ weights / weights.sum()).item()
        for k in KS
    }
    return report


def interval(values: Tensor, groups: Tensor) -> dict[str, float]:
    """Mean of `values` (N,) with a 95 % bootstrap interval over `groups` (N,)."""
    return bootstrap_interval(values.double(), groups=groups)._asdict()
