"""Scoring a dual encoder on one or several galleries: what the retrieval recipes report.

Knows similarities, right answers and intervals; knows nothing of data sets or of training.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from mmtutor.data import Dataset
from mmtutor.evaluation.retrieval.recall import (
    chance_recall,
    embed,
    mean_reciprocal_rank,
    median_rank,
    ranks,
)
from mmtutor.evaluation.statistics.bootstrap import bootstrap_interval
from mmtutor.models import DualEncoder

KS = (1, 5, 10)


class _Scores(NamedTuple):
    """One gallery's test: similarity (N, N) of picture i and caption j, and caption numbers (N,).

    All on the CPU. Caption j is a right answer to picture i where their numbers are equal.
    """

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


def score(model: DualEncoder, test: Dataset) -> _Scores:
    """Compare every picture of `test` with every caption of it."""
    image, text, group = embed(model, test)
    return _Scores((image @ text.T).cpu(), group.cpu())


def summary(scores: list[_Scores]) -> dict[str, Any]:
    """Both directions and their mean over galleries: recall with 95 % intervals, ranks, and chance.

    Intervals come from a bootstrap over captions, because pictures that share one are not
    independent.
    """
    groups = torch.cat([one.group for one in scores])
    found = [one.ranks() for one in scores]
    rank = {way: torch.cat([one[way] for one in found]) for way in found[0]}
    both = torch.stack(list(rank.values()))
    chances = [chance_recall(one.relevant, KS) for one in scores]
    sizes = [len(one.group) for one in scores]
    return {
        "queries": len(groups),
        "gallery_sizes": sizes,
        **{way: direction(rank[way], groups) for way in rank},
        "mean": {f"recall_at_{k}": _interval((both <= k).double().mean(0), groups) for k in KS},
        "chance": {
            f"recall_at_{k}": sum(c[k] * n for c, n in zip(chances, sizes, strict=True))
            / sum(sizes)
            for k in KS
        },
    }


def direction(rank: Tensor, group: Tensor) -> dict[str, Any]:
    """Recall with intervals over `group` (Q,), and what else `rank` (Q,) says, of one direction."""
    return {
        **{f"recall_at_{k}": _interval(rank <= k, group) for k in KS},
        "median_rank": median_rank(rank),
        "mean_reciprocal_rank": mean_reciprocal_rank(rank),
    }


def _interval(values: Tensor, groups: Tensor) -> dict[str, float]:
    """Mean of `values` (N,) with a 95 % bootstrap interval over `groups` (N,)."""
    return bootstrap_interval(values.double(), groups=groups)._asdict()
