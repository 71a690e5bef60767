"""The area under the ROC curve of a million scores, most of them tied: against scikit-learn."""

from __future__ import annotations

import torch

from benchmarks.harness import Comparison
from mmtutor.evaluation.classification.roc import auroc


def comparisons(examples: int = 1_000_000):
    """Two rows: a thousand distinct scores, and a hundred thousand."""
    import sklearn
    from sklearn.metrics import roc_auc_score

    generator = torch.Generator().manual_seed(0)
    positive = torch.rand(examples, generator=generator) < 0.3
    truth = positive.numpy()
    raw = torch.randn(examples, generator=generator, dtype=torch.float64) + positive
    for levels in (1_000, 100_000):
        score = (raw * levels / 10).round()
        given = score.numpy()
        yield Comparison(
            f"AUROC of {examples:,} scores, {len(score.unique()):,} of them distinct",
            f"scikit-learn {sklearn.__version__} roc_auc_score",
            lambda score=score: auroc(score, positive),
            lambda given=given: roc_auc_score(truth, given),
            _same,
            0.5,
        )


def _same(ours: float, theirs: float) -> None:
    assert abs(ours - theirs) < 1e-12, (ours, theirs)
