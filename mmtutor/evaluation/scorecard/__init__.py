"""All standards of a model on one card."""

from mmtutor.evaluation.scorecard.measures import last, measure, ranks, read, surely_better, write
from mmtutor.evaluation.scorecard.standards import diversity, kept, scorecard

__all__ = [
    "diversity",
    "kept",
    "last",
    "measure",
    "ranks",
    "read",
    "scorecard",
    "surely_better",
    "write",
]
