"""Does a model use what it is given? One modality is taken away, and what that costs is measured.

Knows data sets, batches and models whose output has `logits`. Does not know what a modality is: any
key of a batch will do. It measures what a trained model uses; what a modality alone could tell,
only a model trained on it alone can show.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from mmtutor import checks
from mmtutor.data import Dataset, loader
from mmtutor.data.batch import Batch
from mmtutor.data.tokenizer import UNKNOWN
from mmtutor.evaluation.predict import BATCH_SIZE, predict
from mmtutor.evaluation.statistics.bootstrap import (
    Interval,
    bootstrap_interval,
    bootstrap_statistic,
)

How = Literal["permute", "zero", "mean"]
Groups = Tensor | str | None


class _Ablation(NamedTuple):
    """What a model scores with a modality and without; `drop` is paired, example by example."""

    intact: Interval
    ablated: Interval
    drop: Interval


class ExampleScores(NamedTuple):
    """(N,) float64 each, 1 where right: every example as it is, and with a modality taken away."""

    before: Tensor
    after: Tensor


class ModalityUnusedError(AssertionError):
    """A model that should use a modality does not."""


def permuted(data: Dataset, *modalities: str, seed: int = 0, groups: Groups = None) -> Dataset:
    """The same examples with these columns dealt anew, each in a random order of its own.

    Every value is handed out once, and never to an example that had it: the examples are put in
    random order, group by group, and each takes the value of the one that stands as many places
    further on as the largest group has members.

    Args:
        data: its columns named in `modalities` are dealt anew; all others stay.
        seed: draws the orders.
        groups: (N,) int64 or the name of such a column: examples that share a value, such as the
            questions about one image; each gets the value of another group.

    Raises:
        KeyError: there is no such column.
        ValueError: one group (or, without groups, one example) is more than half of all.
    """
    checks.instance(Dataset, data=data)
    checks.at_least(0, seed=seed)
    generator = torch.Generator().manual_seed(int(seed))
    ids = torch.arange(len(data)) if groups is None else _column(data, groups)
    for name in modalities:
        checks.instance(str, modalities=name)
        source, column = _others(ids, generator), data.column(name)
        moved = (
            column[source] if isinstance(column, Tensor) else [column[i] for i in source.tolist()]
        )
        data = data.with_column(name, moved)
    return data


def ablate(
    model: nn.Module, data: Dataset, modality: str, how: How = "permute", groups: Groups = None
) -> _Ablation:
    """What it costs a model to lose one modality, with paired 95 % bootstrap intervals.

    - "permute" hands every example the value of another: each value is a real one, but tells
      nothing of the answer. The default, and the only way that needs no value from outside.
    - "zero" replaces numbers by 0 (a black image, silence of the same length), and a sequence of
      token ids by one unknown word, so that not even its length is left.
    - "mean" replaces numbers of one shape by their mean over the examples. Token ids have no mean,
      nor have sequences of different lengths.

    "zero" and "mean" show the model something that it may never have seen, and their cost can be
    that of the surprise; where they and "permute" disagree, believe "permute".

    Args:
        model: its output has `logits` (B, C); its batches have `label`.
        modality: a key of the batch; to permute, a column of the data set.
        groups: as in `permuted`; the intervals then draw whole groups.

    Raises:
        KeyError: the batch or the data set lacks the modality.
        ValueError: `how` is unknown, or cannot be done to this modality.
    """
    ids = None if groups is None else _column(data, groups)
    before, after = example_scores(model, data, modality, how, ids)
    values = (before, after, before - after)
    return _Ablation(*(bootstrap_interval(v, groups=ids) for v in values))


def example_scores(
    model: nn.Module, data: Dataset, modality: str, how: How = "permute", groups: Groups = None
) -> ExampleScores:
    """Each example's score before and after; arguments as in `ablate`, which summarises them.

    For what a modality is worth to each type of question: `by_group(before - after, types)`.
    """
    checks.instance(Dataset, data=data)
    checks.instance(str, modality=modality)
    checks.one_of(get_args(How), how=how)
    ids = None if groups is None else _column(data, groups)
    if how == "permute":
        without = permuted(data, modality, groups=ids)
    else:
        without = _replaced(loader(data, BATCH_SIZE), modality, how)
    return ExampleScores(*(predict(model, each).correct.double() for each in (data, without)))


def perceptual_score(scores: ExampleScores, groups: Tensor | None = None) -> Interval:
    """The share of its right answers that a model owes to a modality, with its 95 % interval.

    (score - score with the modality permuted) / score, by a paired bootstrap. Dividing by the
    model's own score gives the most to a weak model that owes everything to the modality.

    Source: Gat, Schwartz and Schwing 2021, Perceptual Score, normalised by the model. They average
    over several permutations.

    Raises:
        ValueError: the model is never right.
    """
    checks.instance(ExampleScores, scores=scores)
    checks.shaped(**{"scores.before": (scores.before, "N"), "scores.after": (scores.after, "N")})
    checks.within("[0, 1]", **{"scores.before": scores.before, "scores.after": scores.after})
    before, after = (values.double() for values in scores)
    if not before.any():
        raise ValueError("scores.before is never right, so there is nothing to divide by")
    return bootstrap_statistic(
        lambda weights: (weights @ (before - after)) / (weights @ before),
        len(before),
        resamples=2_000,
        groups=groups,
    )


def require_modality_use(
    model: nn.Module,
    data: Dataset,
    modalities: Sequence[str],
    margin: float = 0.05,
    groups: Groups = None,
) -> dict[str, _Ablation]:
    """`ablate` for each modality, and an error unless permuting each surely costs `margin`.

    "Surely" means the lower end of the interval of the drop. Arguments as in `ablate`.

    Raises:
        ModalityUnusedError: naming every modality that the model does not use, and its figures.
    """
    modalities = checks.listed(str, modalities=modalities)
    checks.same_length(modalities=modalities)
    checks.within("(-inf, inf)", margin=margin)
    use = {name: ablate(model, data, name, groups=groups) for name in modalities}
    unused = [
        f"permuting {name!r} costs {a.drop.estimate:.3f} "
        f"(95 %: {a.drop.low:.3f} to {a.drop.high:.3f}) of {a.intact.estimate:.3f}"
        for name, a in use.items()
        if a.drop.low < margin
    ]
    if unused:
        reasons = "; ".join(unused)
        raise ModalityUnusedError(
            f"the model must lose at least {margin} without each, but {reasons}"
        )
    return use


def _others(ids: Tensor, generator: torch.Generator) -> Tensor:
    """(N,) a permutation of the rows that leaves no row within its own group."""
    group, size = ids.unique(return_inverse=True, return_counts=True)[1:]
    largest = int(size.max())
    if 2 * largest > len(ids):
        raise ValueError(
            f"groups must leave others to swap with, but one has {largest} of {len(ids)} examples"
        )
    rank = torch.randperm(len(size), generator=generator)[group]  # groups in random order
    order = torch.randperm(len(ids), generator=generator)
    order = order[rank[order].argsort(stable=True)]  # rows: group by group, random within
    source = torch.empty_like(order)
    source[order] = order.roll(-largest)
    return source


def _replaced(batches: DataLoader, modality: str, how: How) -> Iterator[Batch]:
    """The batches with one modality replaced by nothing, or by its mean over all of them."""
    mean = _mean(batches, modality) if how == "mean" else None
    for batch in batches:
        if mean is None:
            yield _zeroed(batch, modality)
        else:
            yield {**batch, modality: mean.expand_as(batch[modality])}


def _zeroed(batch: Batch, modality: str) -> Batch:
    values, mask = _values(batch, modality), f"{modality}_mask"
    if mask not in batch or values.is_floating_point():
        return {**batch, modality: torch.zeros_like(values)}
    token = values.new_full((len(values), 1), UNKNOWN)
    return {**batch, modality: token, mask: torch.ones_like(token, dtype=torch.bool)}


def _mean(batches: DataLoader, modality: str) -> Tensor:
    total, count = 0.0, 0
    for batch in batches:
        values = _values(batch, modality)
        if f"{modality}_mask" in batch or not values.is_floating_point():
            raise ValueError(
                f"'mean' cannot replace {modality!r}: only numbers of one shape have a mean, not "
                "token ids and not sequences of different lengths; choose 'permute' or 'zero'"
            )
        total, count = total + values.sum(dim=0), count + len(values)
    return total / count


def _values(batch: Batch, modality: str) -> Tensor:
    if modality not in batch:
        there = ", ".join(batch)
        raise KeyError(f"modality must be a key, but the batch lacks {modality}; it has {there}")
    return batch[modality]


def _column(data: Dataset, groups: Tensor | str) -> Tensor:
    """(N,) the group of each example."""
    checks.instance(Dataset, data=data)
    groups = data.column(groups) if isinstance(groups, str) else groups
    checks.shaped(groups=(groups, f"{len(data)}"))
    checks.whole(groups=groups)
    return groups
