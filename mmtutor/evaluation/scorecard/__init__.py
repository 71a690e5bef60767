"""All standards of a model on one card."""

from mmtutor.evaluation.scorecard.measures import (
    last,
    measure,
    ranks,
    read,
    significantly_better,
    write,
)
from mmtutor.evaluation.scorecard.standards import diversity, kept, scorecard
