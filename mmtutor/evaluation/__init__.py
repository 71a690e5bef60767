"""Metrics: from a model's scores to numbers that can be trusted, and how sure they are."""

from mmtutor.evaluation.classification import Predictions, predict
from mmtutor.evaluation.intervals import Interval, bootstrap_interval
from mmtutor.evaluation.retrieval import (
    evaluate_retrieval,
    recall_at_k,
    retrieval_report,
)

__all__ = [
    "Interval",
    "Predictions",
    "bootstrap_interval",
    "evaluate_retrieval",
    "predict",
    "recall_at_k",
    "retrieval_report",
]
