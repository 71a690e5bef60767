"""Scores of classifiers: confusion, curves, calibration."""

from mmtutor.evaluation.classification.calibration import expected_calibration_error, top_label
from mmtutor.evaluation.classification.roc import auroc, average_precision
from mmtutor.evaluation.classification.scores import (
    averages,
    balanced_accuracy,
    confusion,
    per_class,
)
