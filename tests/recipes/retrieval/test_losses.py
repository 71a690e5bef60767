"""The comparison of losses, at a size of seconds."""

from dataclasses import replace

import pytest
import torch

from mmtutor.models import DualEncoder
from mmtutor.models.dual_encoder import DualEncoderOutput
from mmtutor.recipes.retrieval import losses as loss_comparison
from mmtutor.recipes.retrieval.losses import OBJECTIVES, Config, _agreement, _wrong_sign

TINY = Config.preset("tiny")
EYE = torch.eye(3)
ALONE = {"group": torch.arange(3)}


@pytest.mark.parametrize("loss", ["wrong_sign", "triplet_mean", "info_nce"])
def test_the_tiny_preset_runs_and_its_loss_falls(loss):
    result = loss_comparison.run(replace(TINY, loss=loss), progress=False)
    assert isinstance(result.model, DualEncoder)
    assert result.history.loss[-1] < result.history.loss[0]
    if loss == "wrong_sign":
        assert result.metrics["recall_at_10"] < 2.5 * result.metrics["chance_at_10"]
        assert result.metrics["spread"] < 0.5
    else:
        assert result.metrics["recall_at_10"] > 1.5 * result.metrics["chance_at_10"]
        assert 0.5 < result.metrics["spread"] <= 1


def test_the_articles_loss_is_least_when_true_pairs_score_nothing():
    """Scores of 0 for pairs and 1 for the others cost 0; the right way round it costs 1/2."""
    apart = DualEncoderOutput(100 * (1 - 2 * EYE), EYE)
    together = DualEncoderOutput(100 * (2 * EYE - 1), EYE)
    assert _wrong_sign(apart, ALONE).item() == pytest.approx(0)
    assert _wrong_sign(together, ALONE).item() == pytest.approx(0.5)


def test_agreement_is_content_with_one_point():
    same = torch.ones(3, 4) / 2
    assert _agreement(DualEncoderOutput(same, same), ALONE).item() == pytest.approx(0)
    assert _agreement(DualEncoderOutput(EYE, -EYE), ALONE).item() == pytest.approx(2)


def test_equal_captions_are_no_negatives():
    one_point, group = torch.ones(3, 4) / 2, {"group": torch.zeros(3, dtype=torch.long)}
    output = DualEncoderOutput(one_point, one_point)
    for name in ("triplet_hardest", "triplet_mean"):
        assert OBJECTIVES[name]()(output, group).item() == 0
        assert OBJECTIVES[name]()(output, ALONE).item() == pytest.approx(0.2)


def test_an_unknown_loss_is_named():
    with pytest.raises(ValueError, match="loss is 'hinge': expected 'wrong_sign', 'agreement'"):
        loss_comparison.run(replace(TINY, loss="hinge"))
