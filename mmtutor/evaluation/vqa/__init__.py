"""Scores of answers to questions about pictures."""

from mmtutor.evaluation.vqa.accuracy import pair_accuracy, vqa_accuracy
