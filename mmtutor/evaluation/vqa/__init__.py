"""Scores of answers to questions about images."""

from mmtutor.evaluation.vqa.accuracy import pair_accuracy, vqa_accuracy
