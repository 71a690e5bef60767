"""Scores of retrieval: ranks, recall, average precision, and the geometry of embeddings."""

from mmtutor.evaluation.retrieval.embeddings import alignment, modality_gap, uniformity
from mmtutor.evaluation.retrieval.probing import WINOGROUND_CHANCE, pope, winoground
from mmtutor.evaluation.retrieval.recall import (
    chance_recall,
    embed,
    evaluate_retrieval,
    mean_average_precision,
    ranks,
    recall_at_k,
    retrieval_report,
)
