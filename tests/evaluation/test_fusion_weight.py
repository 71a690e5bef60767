import pytest
import torch

from mmtutor.evaluation.fusion_weight import choose_weight

ALPHAS = torch.linspace(0, 1, 5)


def test_the_better_model_gets_the_weight_and_folds_judge_alone():
    label = torch.arange(40) % 2
    right = torch.eye(2)[label]
    choice = choose_weight(right, 1 - right, label, ALPHAS, folds=4)
    assert choice.accuracy.tolist() == [0, 0, 0.5, 1, 1]  # at one half all scores tie
    assert choice.chosen.tolist() == [0.75] * 4
    assert choice.held_out.tolist() == [1.0] * 4


def test_the_fold_that_is_tested_has_no_say():
    label = torch.zeros(4, dtype=torch.long)
    yes, no = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    one = torch.stack([yes, no, yes, no])  # right in fold 0, wrong in fold 1
    choice = choose_weight(one, 1 - one, label, torch.tensor([0.0, 1.0]), folds=2)
    assert choice.chosen.tolist() == [0.0, 1.0]  # each fold gets what is best for the other
    assert choice.held_out.tolist() == [0.0, 0.0]


def test_what_does_not_fit_is_refused():
    scores, label = torch.zeros(3, 2), torch.zeros(3, dtype=torch.long)
    with pytest.raises(ValueError, match=r"other must be \(N, C\) with N = 3"):
        choose_weight(scores, scores[:2], label, ALPHAS)
    with pytest.raises(ValueError, match=r"folds must be in \[2, 3\], got 4"):
        choose_weight(scores, scores, label, ALPHAS, folds=4)
