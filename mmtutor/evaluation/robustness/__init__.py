"""What corruption, attack, absence and group membership do to a score."""

from mmtutor.evaluation.robustness.attacks import (
    fgsm,
    input_gradient,
    margin,
    margins,
    pgd,
    random_noise,
)
from mmtutor.evaluation.robustness.curves import (
    attack_curve,
    corruption_error,
    effective_robustness,
    missing_curve,
    severity_curve,
    trend,
)
from mmtutor.evaluation.robustness.fairness import (
    balance,
    group_gaps,
    implied_false_positive_rate,
    modality_values,
)
from mmtutor.evaluation.robustness.gradient_masking import gradient_masking_checks, loss_surface
from mmtutor.evaluation.robustness.word_attacks import greedy, hotflip, random_words, substitutes
