"""Metrics: from a model's scores to numbers that can be trusted, and how sure they are."""

from mmtutor.evaluation.modality_use import ablate, permuted, require_modality_use
from mmtutor.evaluation.predict import Predictions, predict
from mmtutor.evaluation.statistics.bootstrap import Interval, bootstrap_interval
from mmtutor.evaluation.vqa.accuracy import vqa_accuracy
