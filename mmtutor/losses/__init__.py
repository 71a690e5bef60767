"""Losses: functions on tensors, and the objectives that own their learned temperature."""

from mmtutor.losses.classification import cross_entropy
from mmtutor.losses.contrastive import ContrastiveObjective, info_nce, sigmoid_contrastive
from mmtutor.losses.gather import gather_with_grad

__all__ = [
    "ContrastiveObjective",
    "cross_entropy",
    "gather_with_grad",
    "info_nce",
    "sigmoid_contrastive",
]
