"""From pairwise preferences to a ranking: the model of Bradley and Terry, with its doubt.

Knows who was preferred to whom, and by which rater. Does not know what was judged or why.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from mmtutor import checks
from mmtutor.evaluation.statistics.bootstrap import Interval, bootstrap_draws, percentile_interval

STEPS = 100
CLOSE = 1e-10  # the step of a strength that counts as none
PRIOR = 0.1  # of a win and of a defeat for each model against a phantom of average strength


class Preferences(NamedTuple):
    """N judgements.

    Attributes:
        winner, loser: (N,) int64, numbers of the models.
        rater: (N,) int64, who judged.
    """

    winner: Tensor
    loser: Tensor
    rater: Tensor


def bradley_terry(wins: Tensor, prior: float = PRIOR) -> Tensor:
    """Strengths s (..., M) from wins (..., M, M), how often row was preferred to column.

    P(i is preferred to j) = 1 / (1 + exp(s_j - s_i)); the strengths have mean 0. They are the
    maximum of the likelihood, found by Newton's method. `prior` wins and as many defeats of each
    model against a phantom of strength 0 keep the strength finite of a model that always won; 0 is
    the plain maximum, which then does not exist.

    Source: Bradley and Terry (1952), Biometrika 39.

    Raises ValueError for a matrix that is not square, negative or not finite, a negative prior, and
    without a prior if there is no maximum: some models never beat the others, or never met them.
    """
    models = checks.shaped(wins=(wins, "... M M"))["M"]
    checks.within("[0, inf)", wins=wins, prior=prior)
    wins = wins.double()
    if prior == 0 and not _connected(wins):
        raise ValueError("prior must be above 0: each model must beat each by some way without it")
    wins = wins * (1 - torch.eye(models, dtype=wins.dtype))
    met = wins + wins.transpose(-1, -2)  # how often two models were compared
    s = torch.zeros(wins.shape[:-1], dtype=torch.float64)
    for _ in range(STEPS):
        chance = (s.unsqueeze(-1) - s.unsqueeze(-2)).sigmoid()
        gradient = wins.sum(-1) - (met * chance).sum(-1) + prior * (1 - 2 * s.sigmoid())
        bend = met * chance * (1 - chance)
        own = bend.sum(-1) + 2 * prior * s.sigmoid() * (1 - s.sigmoid())
        # without the phantom a constant may be added to all strengths: the last term forbids it
        curvature = torch.diag_embed(own) - bend + (prior == 0) / models
        step = torch.linalg.solve(curvature, gradient).clamp(-1, 1)
        s = s + step
        if step.abs().max() < CLOSE:
            break
    return s - s.mean(-1, keepdim=True)


def strengths(judged: Preferences, models: int, resamples: int = 1_000) -> list[Interval]:
    """Strength of each of M models with a 95 % interval over RATERS drawn with replacement.

    Judgements of one rater rise and fall together, so raters are drawn, not judgements.
    Raises ValueError for an empty or inconsistent set of judgements.
    """
    wins = _wins_by_rater(judged, models)  # [R, M, M]
    if len(wins) < 2:
        raise ValueError("judged must hold at least two raters: one does not differ from others")

    def fitted(weights: Tensor) -> Tensor:
        return bradley_terry((weights @ wins.flatten(1)).view(-1, models, models))

    draws = bootstrap_draws(fitted, len(wins), resamples)
    return [percentile_interval(column) for column in draws.T]


def _connected(wins: Tensor) -> bool:
    """Whether a chain of wins leads from every model to every other, in each table (..., M, M)."""
    tables = wins.reshape(-1, *wins.shape[-2:]).numpy()
    return all(connected_components(table, connection="strong")[0] == 1 for table in tables)


def _wins_by_rater(judged: Preferences, models: int) -> Tensor:
    """(R, M, M) float64: how often each rater preferred row to column. Raises ValueError."""
    checks.instance(Preferences, judged=judged)
    checks.at_least(2, models=models)
    winner, loser, rater = judged
    checks.shaped(**{f"judged.{name}": (column, "N") for name, column in judged._asdict().items()})
    checks.indices(models, **{"judged.winner": winner, "judged.loser": loser})
    checks.whole(**{"judged.rater": rater})
    if (winner == loser).any():
        raise ValueError("judged.winner and judged.loser must be two different numbers everywhere")
    rater = rater.unique(return_inverse=True)[1]
    place = (rater * models + winner.long()) * models + loser.long()
    size = (int(rater.max()) + 1) * models**2
    return place.bincount(minlength=size).double().view(-1, models, models)


def simulate(
    truth: Tensor, raters: int, judgements: int, careless: float = 0.0, first_place: float = 0.0
) -> Preferences:
    """Raters whose truth is known: each judges `judgements` random pairs of M models.

    Args:
        truth: (M,) strengths of at least two models.
        careless: share of raters who toss a coin.
        first_place: added to the strength of the answer that is shown first (position bias). Which
            one that is, is random, as it should be.
    """
    checks.shaped(truth=(truth, "M"))
    checks.finite(truth=truth)
    checks.within("(-inf, inf)", first_place=first_place)
    checks.at_least(2, **{"len(truth)": len(truth)})
    checks.at_least(1, raters=raters, judgements=judgements)
    checks.within("[0, 1]", careless=careless)
    generator = torch.Generator().manual_seed(0)
    n = raters * judgements
    first = torch.randint(len(truth), (n,), generator=generator)
    second = (first + torch.randint(1, len(truth), (n,), generator=generator)) % len(truth)
    rater = torch.arange(raters).repeat_interleave(judgements)
    tosses = (torch.rand(raters, generator=generator) < careless)[rater]
    advantage = truth[first].double() - truth[second].double() + first_place
    chance = torch.where(tosses, 0.5, advantage.sigmoid())
    won = torch.rand(n, generator=generator, dtype=torch.float64) < chance
    winner, loser = torch.where(won, first, second), torch.where(won, second, first)
    return Preferences(winner, loser, rater)
