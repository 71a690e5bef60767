"""Occlusion against captum and by hand; LIME against scikit-learn and where the truth is linear."""

import captum.attr
import pytest
import torch
from sklearn.linear_model import Ridge

from mmtutor.explain.coalitions import CoalitionGame, coalition_game
from mmtutor.explain.perturbation import lime, occlusion
from mmtutor.explain.targets import pair_score


def test_occlusion_equal_to_captum(model, batch, target):
    def forward(image):
        return model({**batch, "image": image}).logits

    theirs = captum.attr.Occlusion(forward).attribute(
        batch["image"], (3, 8, 8), (3, 4, 4), baselines=0.25, target=target
    )
    ours = occlusion(model, batch, target, patch=8, stride=4, fill=0.25)
    torch.testing.assert_close(ours, theirs[:, 0].detach(), atol=1e-6, rtol=1e-4)


def test_occlusion_covers_the_border_and_leaves_the_picture(model, batch, target):
    before = batch["image"].clone()
    assert occlusion(model, batch, target, patch=7, stride=6)[:, -1, -1].any()
    assert batch["image"].equal(before)
    whole = occlusion(model, batch, target, patch=32)
    empty = {**batch, "image": torch.zeros_like(before)}
    assert whole.flatten(1).std(dim=1).max() < 1e-6
    assert not occlusion(model, empty, target).any()  # black covered by its own median


def test_occlusion_of_a_pair(dual, batch):
    assert occlusion(dual, batch, pair_score, patch=16).any()


def additive(weights, batch):
    """Scores 5 + the weights (B, n) of who is present."""

    def play(present):
        return 5 + (present * weights.repeat(len(present) // batch, 1)).sum(dim=1)

    n = weights.shape[1]
    return CoalitionGame(play, ("image",) * n, torch.ones(batch, n, dtype=torch.bool))


def test_lime_finds_a_linear_score_exactly():
    torch.manual_seed(0)
    weights = torch.randn(3, 7)
    found = lime(additive(weights, 3), samples=64, ridge=1e-9)
    torch.testing.assert_close(found.weights, weights, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found.intercept, torch.full((3,), 5.0))
    torch.testing.assert_close(found.fidelity, torch.ones(3))


def test_lime_equals_scikit_learns_ridge(model, batch, target):
    played = coalition_game(model, batch, target, grid=2)
    kept = []
    watched = CoalitionGame(lambda present: (kept.append(present), played.play(present))[1],
                   played.owners, played.real)  # fmt: skip
    found = lime(watched, samples=100, width=0.5, ridge=0.7, seed=2)
    present = torch.cat(kept)[::3]
    x, y = present.double().numpy(), torch.cat([played.play(p) for p in torch.cat(kept).split(300)])
    y = y.view(100, 3)
    distance = 1 - (present.double().sum(1) / 8).sqrt()
    weight = (-((distance / 0.5) ** 2)).exp().numpy()
    for row in range(3):
        theirs = Ridge(alpha=0.7).fit(x, y[:, row].numpy(), sample_weight=weight)
        coefficients = torch.tensor(theirs.coef_).masked_fill(~played.real[row], 0)
        torch.testing.assert_close(found.weights[row].double(), coefficients, atol=1e-5, rtol=1e-4)
        score = theirs.score(x, y[:, row].numpy(), sample_weight=weight)
        assert found.fidelity[row].item() == pytest.approx(score, abs=1e-4)


def test_fidelity_is_low_where_the_score_is_not_linear():
    def parity(present):
        return (present.sum(dim=1) % 2).float()

    played = CoalitionGame(parity, ("image",) * 8, torch.ones(1, 8, dtype=torch.bool))
    assert lime(played, samples=512).fidelity.item() < 0.3


def test_errors_say_what_is_wrong(model, batch, target):
    with pytest.raises(ValueError, match=r"patch must fit .* got 33"):
        occlusion(model, batch, target, patch=33)
    with pytest.raises(ValueError, match="samples must be"):
        lime(coalition_game(model, batch, target), samples=1)


def test_a_score_that_never_changes_has_no_fidelity():
    played = CoalitionGame(
        lambda present: torch.full((len(present),), 0.7), ("image",) * 3, torch.ones(1, 3).bool()
    )
    found = lime(played, samples=20)
    assert found.fidelity.isnan().all()
    assert found.weights.abs().max() < 1e-6


def test_a_stride_of_zero_is_not_the_default(model, batch, target):
    with pytest.raises(ValueError, match="stride must be"):
        occlusion(model, batch, target, stride=0)
    with pytest.raises(ValueError, match="samples must be"):  # more players than equations
        lime(coalition_game(model, batch, target), samples=3)
