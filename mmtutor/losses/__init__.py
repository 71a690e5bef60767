"""Losses: functions on tensors, and the objectives that own their learned temperature."""

from mmtutor.losses.chunked import ChunkedContrastive, chunked_info_nce, chunked_sigmoid_contrastive
from mmtutor.losses.classification import (
    binary_cross_entropy,
    categorical_cross_entropy,
    cross_entropy,
    focal,
    log_softmax,
    softmax,
)
from mmtutor.losses.contrastive import ContrastiveObjective, info_nce, sigmoid_contrastive, triplet
from mmtutor.losses.gather import gather_with_grad
from mmtutor.losses.language import next_token
from mmtutor.losses.preferences import answer_log_probability, bradley_terry, dpo
from mmtutor.losses.quantisation import quantised
from mmtutor.losses.regression import least_squares, mean_squared_error
from mmtutor.losses.self_supervised import first_among, hidden_patches
