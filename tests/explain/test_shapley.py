"""Shapley values of games that can be solved with a pencil; the four rules; captum."""

import math
from itertools import permutations

import captum.attr
import pytest
import torch

from mmtutor.explain.coalitions import CoalitionGame, coalition_game
from mmtutor.explain.shapley import (
    _coalitions,
    kernel_shap,
    modality_shares,
    sampled_shapley_values,
    shapley_values,
)
from mmtutor.models import FusionClassifier


def table_game(values, n, batch=1):
    """A game by the value of each coalition, (2^n, B), player 0 the lowest bit."""
    bits = 2 ** torch.arange(n)

    def play(present):
        example = torch.arange(len(present)) % batch
        return values[(present * bits).sum(dim=1), example]

    return CoalitionGame(play, ("image",) * n, torch.ones(batch, n, dtype=torch.bool))


def by_definition(values, n):
    """The mean gain over all n! orders of arrival."""
    gains = [0.0] * n
    for order in permutations(range(n)):
        there = 0
        for player in order:
            gains[player] += float(values[there | 1 << player] - values[there])
            there |= 1 << player
    return torch.tensor(gains) / math.factorial(n)


def test_the_glove_game():
    """One left glove, two right ones; a pair is worth 1: the left one's owner gets 2/3."""
    value = torch.tensor([0.0, 0, 0, 1, 0, 1, 0, 1]).unsqueeze(1)
    expected = torch.tensor([[2 / 3, 1 / 6, 1 / 6]])
    torch.testing.assert_close(shapley_values(table_game(value, 3)), expected)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_equals_the_mean_over_all_orders(n):
    torch.manual_seed(n)
    values = torch.randn(2**n, 3)
    expected = torch.stack([by_definition(values[:, row], n) for row in range(3)])
    torch.testing.assert_close(shapley_values(table_game(values, n, 3)), expected)


def test_the_four_rules():
    torch.manual_seed(0)
    n, present = 5, _coalitions(5)
    first, second = torch.randn(32, 1), torch.randn(32, 1)
    of_first, of_second = (shapley_values(table_game(v, n)) for v in (first, second))
    total = first[-1] - first[0]
    torch.testing.assert_close(of_first.sum(1), total)  # efficiency
    both = shapley_values(table_game(first + second, n))
    torch.testing.assert_close(both, of_first + of_second)  # additivity
    without = first[(present * 2 ** torch.arange(n))[:, :4].sum(1)]
    assert shapley_values(table_game(without, n))[0, 4].abs() < 1e-6  # dummy
    alike = present.sum(1, keepdim=True).float() ** 2
    torch.testing.assert_close(shapley_values(table_game(alike, n)), torch.full((1, 5), 5.0))


def test_scores_of_double_precision_keep_it():
    values = torch.tensor([[0.0], [0.1], [0.7], [1.3]], dtype=torch.float64)
    shared = shapley_values(table_game(values, 2))
    assert (shared.sum() - (values[3] - values[0])).abs() < 1e-12
    assert shapley_values(table_game(values.half(), 2)).dtype == torch.float32


def test_estimates_are_efficient_and_near_and_reproducible():
    torch.manual_seed(0)
    n, values = 8, torch.randn(256, 2)
    played = table_game(values, n, 2)
    truth, total = shapley_values(played), values[-1] - values[0]
    for estimate, error in ((sampled_shapley_values, 0.12), (kernel_shap, 0.5)):
        few = estimate(played, 16, seed=3)
        many = estimate(played, 2000 if estimate is sampled_shapley_values else 200, seed=3)
        torch.testing.assert_close(few.sum(1), total)
        torch.testing.assert_close(many.sum(1), total)
        assert few.equal(estimate(played, 16, seed=3))
        assert not few.equal(estimate(played, 16, seed=4))
        assert (many - truth).abs().max() < error
        assert (many - truth).norm() < (few - truth).norm()


def test_sampling_is_unbiased():
    torch.manual_seed(0)
    played = table_game(torch.randn(16, 1), 4)
    mean = torch.stack([sampled_shapley_values(played, 2, seed=s) for s in range(600)]).mean(0)
    torch.testing.assert_close(mean, shapley_values(played), atol=0.12, rtol=0)


def test_kernel_shap_is_exact_when_all_coalitions_fit():
    torch.manual_seed(0)
    for n in (2, 6):
        played = table_game(torch.randn(2**n, 2), n, 2)
        torch.testing.assert_close(
            kernel_shap(played, 64), shapley_values(played), atol=1e-5, rtol=1e-4
        )


def test_equal_to_captum_on_patches(model, batch, target):
    groups = torch.arange(4).view(2, 2).repeat_interleave(16, 0).repeat_interleave(16, 1)

    def forward(image):
        return model({**batch, "image": image}).logits

    played = coalition_game(model, batch, target, grid=2, words=False, fill=0.3)
    ours = shapley_values(played)
    every = captum.attr.ShapleyValues(forward).attribute(
        batch["image"], 0.3, target, feature_mask=groups.repeat(1, 3, 1, 1)
    )
    corners = every[:, 0, [0, 0, 31, 31], [0, 31, 0, 31]].detach()
    torch.testing.assert_close(ours, corners, atol=1e-6, rtol=1e-4)


def test_padding_gets_nothing_and_a_blind_model_has_share_0(model, batch, target):
    played = coalition_game(model, batch, target, grid=2)
    values = shapley_values(played)
    assert values[:, 4:][~batch["tokens_mask"]].abs().max() < 1e-6
    shares = modality_shares(values, played.owners)
    assert sorted(shares) == ["image", "tokens"]
    torch.testing.assert_close(shares["image"] + shares["tokens"], torch.ones(3))
    assert shares["image"].gt(0.01).all()

    class Blind(FusionClassifier):
        def forward(self, batch):
            return super().forward({**batch, "image": torch.zeros_like(batch["image"])})

    blind = Blind(dict(model.encoders), model.fusion, model.head).eval()
    played = coalition_game(blind, batch, target, grid=2)
    shares = modality_shares(shapley_values(played), played.owners)
    assert shares["image"].abs().max() < 1e-4
    assert shares["tokens"].sub(1).abs().max() < 1e-4


def test_shares_by_hand():
    values = torch.tensor([[1.0, -3, 2], [0, 0, 0]])
    shares = modality_shares(values, ("image", "tokens", "tokens"))
    assert shares["image"][0] == pytest.approx(1 / 6)
    assert shares["tokens"][0] == pytest.approx(5 / 6)
    assert shares["image"][1].isnan()


def test_errors_say_what_is_wrong():
    played = table_game(torch.randn(4, 1), 2)
    with pytest.raises(ValueError, match=r"15 players, 2\^15 coalitions"):
        shapley_values(table_game(torch.randn(1, 1), 15))
    with pytest.raises(ValueError, match=r"orders must be .* at least 1, got 0"):
        sampled_shapley_values(played, 0)
    with pytest.raises(ValueError, match="samples must be"):
        kernel_shap(played, 1)
    with pytest.raises(ValueError, match=r"values must be \(B, 1\)"):
        modality_shares(torch.ones(1, 2), ("image",))


def test_kernel_shap_of_few_samples_invents_no_values():
    worth = torch.arange(12.0)
    game = CoalitionGame(
        lambda present: present.double() @ worth.double(), ("a",) * 12, torch.ones(1, 12) > 0
    )
    with pytest.raises(ValueError, match="samples must be"):
        kernel_shap(game, samples=12)
    found = 0
    for seed in range(20):  # as many equations as players, at times some of them twice
        try:
            values = kernel_shap(game, samples=24, seed=seed)
        except ValueError:
            continue
        found += 1
        torch.testing.assert_close(values[0], worth, rtol=0, atol=1e-3)
    assert found < 20
    torch.testing.assert_close(kernel_shap(game, samples=200)[0], worth, rtol=0, atol=1e-3)
