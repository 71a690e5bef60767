"""All standards of a model on one card."""

from mmtutor.evaluation.scorecard.measures import (
    last,
    measure,
    ranks,
    read,
    significantly_better,
    write,
)
from mmtutor.evaluation.scorecard.preferring import write_preferences
from mmtutor.evaluation.scorecard.served import diversity
from mmtutor.evaluation.scorecard.standards import kept, scorecard
from mmtutor.evaluation.scorecard.suite import EvaluationSuite
