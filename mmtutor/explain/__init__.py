"""Explanations: where a model looked, and what each part of its input was worth."""

from mmtutor.explain.attention import attention_weights
from mmtutor.explain.coalitions import CoalitionGame, baseline_value, coalition_game
from mmtutor.explain.features import activations, grad_cam
from mmtutor.explain.gradients import (
    gradient,
    guided_backpropagation,
    input_x_gradient,
    integrated_gradients,
    smooth_grad,
)
from mmtutor.explain.perturbation import lime, occlusion
from mmtutor.explain.randomise import cascade, randomised
from mmtutor.explain.shapley import (
    kernel_shap,
    modality_shares,
    sampled_shapley_values,
    shapley_values,
)
from mmtutor.explain.targets import Probability, input_gradient, pair_score, scores
