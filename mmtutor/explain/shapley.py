"""Shapley values: the one way to share a score among players that meets four fair rules.

Knows exact values for few players, two estimates for many, and what they say of modalities
(MM-SHAP). The game itself, and who can be taken away, is `coalitions.py`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mmtutor import checks
from mmtutor.explain.coalitions import ROWS, CoalitionGame
from mmtutor.explain.targets import seeded

MOST_PLAYERS = 14


def shapley_values(game: CoalitionGame) -> Tensor:
    """Shapley values (B, n) from all 2^n coalitions (Shapley 1953), at least float32.

    phi_i = sum over coalitions S without i of |S|! (n - |S| - 1)! / n! (v(S + i) - v(S)). They add
    up to v(all) - v(nobody) (efficiency); a player that changes nothing gets 0 (dummy); players
    that do the same get the same (symmetry); values of a sum of games are sums (additivity).

    Raises:
        ValueError: more than 14 players.
    """
    checks.instance(CoalitionGame, game=game)
    n = game.players
    if n > MOST_PLAYERS:
        raise ValueError(
            f"game must have at most {MOST_PLAYERS} players, got {n} players, 2^{n} coalitions"
        )
    present = _coalitions(n)  # [2^n, n]
    won = game.values(present)  # [2^n, B]
    value = won.double().cpu()
    size = present.sum(dim=1)
    ways = torch.tensor([math.comb(n - 1, k) for k in range(n)], dtype=torch.float64)
    joined = 1 / (n * ways[(size - 1).clamp(min=0)])  # weight of v(S) where i is in S
    left = 1 / (n * ways[size.clamp(max=n - 1)])  # and where i is not
    signed = torch.where(present, joined[:, None], -left[:, None])  # [2^n, n]
    return (value.T @ signed).to(torch.promote_types(won.dtype, torch.float32))


def sampled_shapley_values(game: CoalitionGame, orders: int = 32, seed: int = 0) -> Tensor:
    """An unbiased estimate (B, n): the mean gain over random orders of arrival, by `captum`.

    Castro et al. (2009). Efficiency holds exactly, whatever the number of orders. Each asks for
    n scores of every example.

    Raises:
        ValueError: no order.
    """
    from captum.attr import ShapleyValueSampling

    checks.instance(CoalitionGame, game=game)
    checks.at_least(1, orders=orders)
    everybody = torch.ones(game.batch, game.players)
    at_once = max(1, ROWS // game.batch)
    with seeded(seed):
        values = ShapleyValueSampling(lambda present: game.play(present > 0)).attribute(
            everybody, n_samples=int(orders), perturbations_per_eval=at_once
        )
    checks.finite(**{"what the game pays": values})
    return values


def kernel_shap(game: CoalitionGame, samples: int = 256, seed: int = 0) -> Tensor:
    """Shapley values (B, n) as a weighted linear regression (Lundberg and Lee 2017, theorem 2).

    Sizes of coalitions are drawn in proportion to the kernel (n - 1) / (|S| (n - |S|)), each
    coalition together with its complement; then least squares under the constraint that the values
    add up to v(all) - v(nobody). If all 2^n - 2 coalitions fit into `samples`, they are used with
    their exact weights and the result is exact.

    Raises:
        ValueError: fewer than two players, or too few samples: a coalition and its complement are
            one equation, so that n players need n pairs at least, or all coalitions that there are,
            and more where those that were drawn do not tell all players apart.
    """
    checks.instance(CoalitionGame, game=game)
    n = game.players
    if n < 2:
        raise ValueError(f"game must have at least two players, got {n}")
    checks.at_least(min(2 * n, 2**n - 2), samples=samples)
    checks.at_least(0, seed=seed)
    present, weight = _kernel_coalitions(n, samples, seed)
    ends = torch.stack([torch.zeros(n, dtype=torch.bool), torch.ones(n, dtype=torch.bool)])
    value = game.values(torch.cat([ends, present])).double().cpu()  # [2 + K, B]
    nobody, total = value[0], value[1] - value[0]
    x = present.double()
    gram = x.T @ (x * weight[:, None])
    moment = (x * weight[:, None]).T @ (value[2:] - nobody)  # [n, B]
    # Minimise under sum(phi) = total by a Lagrange multiplier.
    ones = torch.ones(n, 1, dtype=torch.float64)
    left = torch.cat([torch.cat([gram, ones], 1), torch.cat([ones.T, ones.new_zeros(1, 1)], 1)])
    if torch.linalg.matrix_rank(left) <= n:
        raise ValueError(f"samples must be more to tell {n} players apart, got {samples}")
    solved = torch.linalg.lstsq(left, torch.cat([moment, total[None]])).solution
    return solved[:n].T.float()


def _coalitions(n: int) -> Tensor:
    """All subsets of n players, (2^n, n) bool, nobody first and everybody last."""
    return (torch.arange(2**n)[:, None] >> torch.arange(n)) % 2 == 1


def modality_shares(values: Tensor, owners: tuple[str, ...]) -> dict[str, Tensor]:
    """MM-SHAP: each modality's share of all that the players did, (B,) in [0, 1] by name.

    Parcalabescu and Frank (2023), section 3: sizes of Shapley values are added, so that a word
    that speaks against the answer counts as much as one that speaks for it. A blind model's image
    has share 0. NaN where no player did anything.

    Raises:
        ValueError: not as many owners as players.
    """
    owners = checks.listed(str, owners=owners)
    checks.same_length(owners=owners)
    checks.shaped(values=(values, f"B {len(owners)}"))
    checks.floating(values=values)
    checks.finite(values=values)
    size = values.abs()
    total = size.sum(dim=1)
    mine = {name: torch.tensor([owner == name for owner in owners]) for name in sorted(set(owners))}
    return {name: size[:, players].sum(dim=1) / total for name, players in mine.items()}


def _kernel_coalitions(n: int, samples: int, seed: int) -> tuple[Tensor, Tensor]:
    """Coalitions (K, n), neither empty nor full, and their weights (K,) float64."""
    sizes = torch.arange(1, n)
    kernel = (n - 1) / (sizes * (n - sizes)).double()  # of all coalitions of a size together
    if n <= 30 and 2**n - 2 <= samples:
        present = _coalitions(n)[1:-1]
        ways = torch.tensor([math.comb(n, k) for k in sizes.tolist()], dtype=torch.float64)
        return present, (kernel / ways)[present.sum(dim=1) - 1]
    generator = torch.Generator().manual_seed(int(seed))
    size = sizes[torch.multinomial(kernel, samples // 2, replacement=True, generator=generator)]
    rank = torch.rand(samples // 2, n, generator=generator).argsort(dim=1).argsort(dim=1)
    present = rank < size[:, None]
    present = torch.cat([present, ~present])
    return present, torch.ones(len(present), dtype=torch.float64)
