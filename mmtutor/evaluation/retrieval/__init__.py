"""Scores of retrieval: ranks, recall, gains, and the geometry of embeddings."""

from mmtutor.evaluation.retrieval.probing import WINOGROUND_CHANCE, pope, winoground
from mmtutor.evaluation.retrieval.recall import chance_recall, ranks, recall_at_k
