"""Metrics: from a model's scores to numbers that can be trusted, and how sure they are."""

from mmtutor.evaluation.modality_use import ablate, must_look, permuted
from mmtutor.evaluation.predict import Predictions, predict
from mmtutor.evaluation.statistics.intervals import Interval, bootstrap_interval
from mmtutor.evaluation.vqa.accuracy import vqa_accuracy
