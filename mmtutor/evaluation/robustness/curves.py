"""How a score falls: by severity of a corruption, radius of an attack, share of missing data.

Knows curves of right answers over a growing difficulty, and what papers make of them. Does not know
how data are spoiled (`data.corruptions`) or attacked (`attacks.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from mmtutor import checks
from mmtutor.data import Dataset, loader
from mmtutor.data.batch import Batch
from mmtutor.data.corruptions import SEVERITIES, corrupt
from mmtutor.evaluation.predict import predict
from mmtutor.evaluation.robustness.attacks import pgd
from mmtutor.evaluation.statistics.bootstrap import Interval, bootstrap_interval

Attack = Callable[[nn.Module, Batch, float], Batch]
BATCH = 256


class _Curve(NamedTuple):
    """Right answers at each of K levels of difficulty, for the same N examples.

    Attributes:
        levels: (K,) severities, radii or shares, rising.
        correct: (K, N) bool.
    """

    levels: tuple[float, ...]
    correct: Tensor

    @property
    def accuracy(self) -> Tensor:
        """(K,) float64, in [0, 1]."""
        return self.correct.double().mean(dim=1)

    def intervals(self) -> list[Interval]:
        """Accuracy at each level with its 95 % bootstrap interval over examples."""
        return [bootstrap_interval(row.double()) for row in self.correct]

    def falls(self, slack: float = 0.0) -> bool:
        """Whether accuracy never rises by more than `slack` from one level to the next."""
        return bool((self.accuracy.diff() <= slack).all())


def _curve(
    model: nn.Module, levels: tuple[float, ...], batches: Callable[[float], Iterable[Batch]]
) -> _Curve:
    """Accuracy over `levels`; `batches(level)` gives the test data at one, always in one order."""
    checks.instance(nn.Module, model=model)
    return _Curve(levels, torch.stack([predict(model, batches(x)).correct for x in levels]))


def severity_curve(model: nn.Module, data: Dataset, corruption: str) -> _Curve:
    """Accuracy by severity of one corruption of the images, 0 (clean) to 5; see `corrupt`.

    Raises TypeError and ValueError for what is no model, data set or corruption.
    """
    checks.instance(Dataset, data=data)

    def batches(severity: float) -> Iterable[Batch]:
        return loader(corrupt(data, corruption, int(severity)), BATCH)

    return _curve(model, (0, *SEVERITIES), batches)


def attack_curve(
    model: nn.Module, data: Dataset, radii: Iterable[float], attack: Attack = pgd
) -> _Curve:
    """Accuracy by radius of an attack, `attack(model, batch, radius) -> batch`.

    Raises TypeError and ValueError for what is no model or data set, and for radii that do not rise
    from 0 or more.
    """
    checks.instance(Dataset, data=data)
    checks.instance(Callable, attack=attack)
    radii = _rising("[0, inf)", radii=radii)

    def batches(radius: float) -> Iterable[Batch]:
        return (attack(model, batch, radius) for batch in loader(data, BATCH))

    return _curve(model, radii, batches)


def missing_curve(
    model: nn.Module,
    data: Dataset,
    modality: int,
    shares: Iterable[float] = (0.0, 0.25, 0.5, 0.75, 1.0),
) -> _Curve:
    """Accuracy by the share of examples that lack one of two modalities; the model reads `present`.

    Whoever lacks it at a smaller share lacks it at a larger one too.

    Args:
        modality: 0 or 1, its place in the sorted order of the model's modalities.

    Raises:
        TypeError, ValueError: there is no such modality, or shares do not rise within [0, 1].
    """
    checks.one_of((0, 1), modality=modality)
    checks.instance(Dataset, data=data)
    shares = _rising("[0, 1]", shares=shares)
    chance = torch.rand(len(data), generator=torch.Generator().manual_seed(0))

    def batches(share: float) -> Iterable[Batch]:
        present = torch.ones(len(data), 2, dtype=torch.bool)
        present[:, modality] = chance >= share
        return loader(data.with_column("present", present), BATCH)

    return _curve(model, shares, batches)


def corruption_error(
    model: Mapping[str, _Curve], baseline: Mapping[str, _Curve], relative: bool = False
) -> dict[str, float]:
    """Error summed over severities, over that of a baseline: CE of each corruption, and "mean".

    1 is as bad as the baseline. With `relative` only what is lost against clean data (severity 0)
    counts: a model that is bad to begin with loses little.

    Source: Hendrycks and Dietterich (2019), section 4.1: CE and mCE, relative CE and relative mCE.

    Args:
        model, baseline: curves by name of the corruption; the same names, and level 0 first.

    Raises:
        ValueError: names or levels differ, a curve does not begin at 0, or the baseline has no
            error to compare with.
    """
    checks.instance(Mapping, model=model, baseline=baseline)
    if model.keys() != baseline.keys() or not model:
        raise ValueError(
            f"model and baseline must have the same corruptions, and at least one, "
            f"got {', '.join(map(str, model))} and {', '.join(map(str, baseline))}"
        )
    ratios = {}
    for name, one in model.items():
        other = baseline[name]
        checks.instance(_Curve, **{f"model[{name!r}]": one, f"baseline[{name!r}]": other})
        if one.levels != other.levels or one.levels[0] != 0:
            raise ValueError(
                f"model and baseline must have the same levels of {name!r}, the first of them 0, "
                f"got {one.levels} and {other.levels}"
            )
        mine, theirs = (_summed_error(c.accuracy, relative) for c in (one, other))
        if theirs <= 0:
            raise ValueError(f"baseline must lose something to {name!r}, got an error of 0")
        ratios[name] = mine / theirs
    return ratios | {"mean": sum(ratios.values()) / len(ratios)}


class _Trend(NamedTuple):
    """What accuracy under shift to expect of accuracy without: a line between log odds."""

    slope: float
    intercept: float

    def expected(self, accuracy: Tensor) -> Tensor:
        """Accuracy under shift that ordinary models of this `accuracy` have."""
        return (self.slope * _log_odds(accuracy) + self.intercept).sigmoid()


def trend(accuracy: Sequence[float] | Tensor, shifted: Sequence[float] | Tensor) -> _Trend:
    """Fit the line through ordinary models' accuracies (M,) without and (M,) under shift.

    Least squares between log odds, as in Taori et al. (2020), section 3. Raises ValueError for
    fewer than two models, unequal numbers, or models that are all equally good.
    """
    accuracy = checks.listed((float, int), accuracy=accuracy)
    shifted = checks.listed((float, int), shifted=shifted)
    checks.same_length(accuracy=accuracy, shifted=shifted)
    x, y = (torch.tensor(v, dtype=torch.float64) for v in (accuracy, shifted))
    checks.within("[0, 1]", accuracy=x, shifted=y)
    x, y = _log_odds(x), _log_odds(y)
    if x.max() == x.min():
        raise ValueError(f"accuracy must hold two that differ, got {accuracy}")
    return _Trend(*np.polyfit(x, y, 1).tolist())


def effective_robustness(accuracy: float, shifted: float, ordinary: _Trend) -> float:
    """How much better under shift than ordinary models that are as good without (Taori, eq. 1).

    0 for an ordinary model, however good: to be better everywhere is not to be more robust.
    Raises TypeError and ValueError for what is no share in [0, 1], or no trend.
    """
    checks.within("[0, 1]", accuracy=accuracy, shifted=shifted)
    checks.instance(_Trend, ordinary=ordinary)
    return float(shifted) - ordinary.expected(torch.tensor(accuracy, dtype=torch.float64)).item()


def _rising(interval: str, **argument: Iterable[float]) -> tuple[float, ...]:
    """Levels of a curve: numbers in the interval, each larger than the one before."""
    [name] = argument
    levels = checks.listed((float, int), **argument)
    checks.same_length(**{name: levels})
    for level in levels:
        checks.within(interval, **{name: level})
    if any(after <= before for before, after in pairwise(levels)):
        raise ValueError(f"{name} must rise, got {levels}")
    return tuple(levels)


def _log_odds(share: Tensor) -> Tensor:
    """Shares of exactly 0 and 1 are moved in by a thousandth: their odds are infinite."""
    return torch.logit(share.double(), eps=1e-3)


def _summed_error(accuracy: Tensor, relative: bool) -> float:
    """Error over the severities after the first, or what they lose against the first."""
    lost = accuracy[0] - accuracy[1:] if relative else 1 - accuracy[1:]
    return lost.sum().item()
