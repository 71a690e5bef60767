"""Explanations: where a model looked, and what each part of its input was worth."""

from mmtutor.explain.attention_maps import attention, image_attention, image_rollout, rollout
from mmtutor.explain.features import activations, grad_cam
from mmtutor.explain.games import Game, game, modality_game, paint
from mmtutor.explain.perturbation import Lime, lime, occlusion
from mmtutor.explain.randomise import cascade, randomised
from mmtutor.explain.saliency import (
    gradient,
    guided_backpropagation,
    input_x_gradient,
    integrated_gradients,
    smooth_grad,
)
from mmtutor.explain.shapley import modality_shares
from mmtutor.explain.targets import Probability, pair_score
