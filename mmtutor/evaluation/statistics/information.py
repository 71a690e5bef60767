"""How information about an answer is spread over two modalities, computed from the exact table.

Knows joint distributions p[x1, x2, y] of three discrete variables. Does not know where a table
comes from; an estimate from few examples is biased, and is not made here. Everything is in bits.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from mmtutor import checks


class _Atoms(NamedTuple):
    """The parts of I(X1, X2; Y), in bits; they sum to it."""

    redundant: float
    unique1: float
    unique2: float
    synergistic: float


def mutual_information(p: Tensor) -> float:
    """I(X; Y) in bits of a table p[x, y] that sums to 1; empty cells add nothing."""
    p = _distribution(p, "X Y")
    independent = p.sum(dim=1, keepdim=True) * p.sum(dim=0)
    return _divergence(p, independent)


def decompose(p: Tensor) -> _Atoms:
    """Redundant, unique and synergistic information of p[x1, x2, y] (Williams and Beer 2010).

    Redundancy is their I_min (eq. 3): for each answer the smaller of what the two modalities tell
    about it, on average. The other atoms follow from I(X1; Y), I(X2; Y) and I(X1, X2; Y).

    I_min compares amounts, not contents: where each modality holds another bit of Y it calls them
    one redundant and one synergistic bit (a known objection, Harder et al. 2013).

    Raises:
        ValueError: p is not a distribution over three variables.
    """
    p = _distribution(p, "X1 X2 Y")
    one, two = (_specific(p.sum(dim=dim)) for dim in (1, 0))  # [Y] each
    redundant = (p.sum(dim=(0, 1)) * torch.minimum(one, two)).sum().item()
    alone = [mutual_information(p.sum(dim=dim)) for dim in (1, 0)]
    unique1, unique2 = (information - redundant for information in alone)
    whole = mutual_information(p.flatten(0, 1))
    return _Atoms(redundant, unique1, unique2, whole - redundant - unique1 - unique2)


def invisible_to_sums(p: Tensor, steps: int = 1000, tolerance: float = 1e-12) -> float:
    """Bits about Y that no additive score f_y(x1) + g_y(x2) can use, however f and g are chosen.

    The lowest cross-entropy of a softmax over additive scores is H(Y | X1, X2) plus this. It is the
    divergence of p from the distribution of largest entropy that agrees with p on every *pair* of
    the variables (the connected information of order three, Schneidman et al. 2003), which
    iterative proportional fitting finds.

    Raises:
        ValueError: p is not a distribution over three variables.
    """
    p = _distribution(p, "X1 X2 Y")
    checks.at_least(1, steps=steps)
    checks.within("[0, inf)", tolerance=tolerance)
    fitted = torch.full_like(p, 1 / p.numel())
    for _ in range(steps):
        before = fitted
        for dim in range(3):
            ratio = p.sum(dim=dim, keepdim=True) / fitted.sum(dim=dim, keepdim=True)
            fitted = fitted * ratio.nan_to_num(0)  # 0 / 0: an empty margin stays empty
        if (fitted - before).abs().max() < tolerance:
            break
    return _divergence(p, fitted)


def _specific(p: Tensor) -> Tensor:
    """What X tells about each answer, I(Y = y; X) in bits (eq. 2): p[x, y] -> (Y,)."""
    x, y = p.sum(dim=1, keepdim=True), p.sum(dim=0)
    surprise = (p / (x * y)).log2()  # log p(y | x) / p(y)
    return torch.where(p > 0, p / y * surprise, 0).sum(dim=0)


def _divergence(p: Tensor, q: Tensor) -> float:
    """sum p log2 (p / q) over the cells that p fills."""
    filled = p > 0
    return (p[filled] * (p[filled] / q[filled]).log2()).sum().item()


def _distribution(p: Tensor, variables: str) -> Tensor:
    """A table of these variables that is not negative and sums to 1, as float64."""
    checks.shaped(p=(p, variables))
    checks.floating(p=p)
    checks.within("[0, 1]", p=p)
    total = p.double().sum().item()
    if abs(total - 1) > 1e-5:
        raise ValueError(f"p must be a distribution, which sums to 1, got a sum of {total:.4g}")
    return p.double()
