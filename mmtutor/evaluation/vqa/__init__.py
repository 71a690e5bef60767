"""Scores of answers to questions about pictures."""

from mmtutor.evaluation.vqa.accuracy import by_group, pair_accuracy, vqa_accuracy
