"""Does a model use what it is given? One modality is taken away, and what that costs is measured.

Knows data sets, batches and models whose output has `logits`. Does not know what a modality is: any
key of a batch will do. It measures what a trained model uses; what a modality alone could tell,
only a model trained on it alone can show.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from mmtutor.data import Dataset, loader
from mmtutor.data.batch import Batch, require
from mmtutor.data.tokenizer import UNKNOWN
from mmtutor.evaluation.predict import Predictions, predict
from mmtutor.evaluation.statistics.bootstrap import (
    Interval,
    bootstrap_interval,
    bootstrap_statistic,
)

How = Literal["permute", "zero", "mean"]
Groups = Tensor | str | None
Score = Callable[[Predictions], Tensor]


class Ablation(NamedTuple):
    """What a model scores with a modality and without; `drop` is paired, example by example."""

    intact: Interval
    ablated: Interval
    drop: Interval


class ExampleScores(NamedTuple):
    """(N,) float64 each: every example's score as it is, and with a modality taken away."""

    before: Tensor
    after: Tensor


class ModalityUnusedError(AssertionError):
    """A model that should use a modality does not."""


def _is_right(predictions: Predictions) -> Tensor:
    """The usual score: 1.0 for a right answer, 0.0 for a wrong one."""
    return predictions.correct.double()


def permuted(data: Dataset, *modalities: str, seed: int = 0, groups: Groups = None) -> Dataset:
    """The same examples with these columns dealt anew, each in a random order of its own.

    Every value is handed out once, and never to an example that had it: the examples are put in
    random order, group by group, and each takes the value of the one that stands as many places
    further on as the largest group has members.

    Args:
        data: its columns named in `modalities` are dealt anew; all others stay.
        seed: draws the orders.
        groups: (N,) int64 or the name of such a column: examples that share a value, such as the
            questions about one picture; each gets the value of another group.

    Raises:
        KeyError: there is no such column.
        ValueError: one group (or, without groups, one example) is more than half of all.
    """
    generator = torch.Generator().manual_seed(seed)
    ids = torch.arange(len(data)) if groups is None else _column(data, groups)
    for name in modalities:
        source, column = _others(ids, generator), data.column(name)
        moved = (
            column[source] if isinstance(column, Tensor) else [column[i] for i in source.tolist()]
        )
        data = data.with_column(name, moved)
    return data


def ablate(
    model: nn.Module,
    data: Dataset | DataLoader,
    modality: str,
    how: How = "permute",
    *,
    groups: Groups = None,
    score: Score = _is_right,
    **options: int,
) -> Ablation:
    """What it costs a model to lose one modality, with paired 95 % bootstrap intervals.

    - "permute" hands every example the value of another: each value is a real one, but tells
      nothing of the answer. The default, and the only way that needs no value from outside.
    - "zero" replaces numbers by 0 (a black picture, silence of the same length), and a sequence of
      token ids by the one token `blank`, so that not even its length is left.
    - "mean" replaces numbers of one shape by their mean over the examples. Token ids have no mean,
      nor have sequences of different lengths.

    "zero" and "mean" show the model something that it may never have seen, and their cost can be
    that of the surprise; where they and "permute" disagree, believe "permute".

    Args:
        model: its output has `logits` (B, C); its batches have `label`.
        data: a data set, or a loader, whose collation and batch size are then used (its order and
            workers are not).
        modality: a key of the batch; to permute, a column of the data set.
        groups: as in `permuted`; the intervals then draw whole groups.
        score: from predictions to (N,) scores, such as soft VQA scores.
        options: `repeats`, the number of permutations to average over (1); `seed` of the first (0);
            `blank`, a token id (that of unknown words); `batch_size` (256).

    Raises:
        KeyError: the batch or the data set lacks the modality.
        ValueError: `how` is unknown, or cannot be done to this modality.
    """
    ids = None if groups is None else _column(_dataset(data), groups)
    before, after = example_scores(model, data, modality, how, ids, score, **options)
    values = (before, after, before - after)
    return Ablation(*(bootstrap_interval(v, groups=ids) for v in values))


def example_scores(
    model: nn.Module,
    data: Dataset | DataLoader,
    modality: str,
    how: How = "permute",
    groups: Groups = None,
    score: Score = _is_right,
    *,
    repeats: int = 1,
    seed: int = 0,
    blank: int = UNKNOWN,
    batch_size: int = 256,
) -> ExampleScores:
    """Each example's score before and after; arguments as in `ablate`, which summarises them.

    For what a modality is worth to each type of question: `by_group(before - after, types)`.
    """
    if how not in get_args(How) or repeats < 1:
        raise ValueError(
            f"expected how in {get_args(How)} and repeats >= 1, got {how!r}, {repeats}"
        )
    source = _dataset(data)
    before = score(predict(model, _batches(data, source, batch_size)))
    if how != "permute":
        without = _replaced(_batches(data, source, batch_size), modality, how, blank)
        return ExampleScores(before, score(predict(model, without)))
    orders = (permuted(source, modality, seed=seed + i, groups=groups) for i in range(repeats))
    after = [score(predict(model, _batches(data, order, batch_size))) for order in orders]
    return ExampleScores(before, torch.stack(after).mean(dim=0))


def perceptual_score(
    scores: ExampleScores,
    normalise: Literal["model", "task"] | None = "model",
    majority: float | None = None,
    groups: Tensor | None = None,
    resamples: int = 2_000,
) -> Interval:
    """(score - score with the modality permuted) / Z, with a paired 95 % bootstrap interval.

    Z is 1 for None; for "model" the model's own score, so that a weak model that owes everything to
    a modality gets the most; and for "task" what always giving the most frequent answer leaves to
    be won, 1 - `majority`, so that easy tasks can be compared with hard ones.

    Source: Gat, Schwartz and Schwing 2021, Perceptual Score. They average over permutations
    (`repeats`) and normalise by model and by task; 1 - `majority` for the task is our reading.

    Raises:
        ValueError: "task" without a `majority` in [0, 1), or a model that is never right.
    """
    before, after = (values.double() for values in scores)
    if normalise not in ("model", "task", None):
        raise ValueError(f"normalise must be 'model', 'task' or None, got {normalise!r}")
    if normalise == "task" and (majority is None or not 0 <= majority < 1):
        raise ValueError(f"'task' needs the majority's score in [0, 1), got {majority}")
    if normalise == "model" and not before.any():
        raise ValueError("the model is never right, so there is nothing to divide by")
    z = before if normalise == "model" else torch.ones_like(before)
    if normalise == "task":
        z = z * (1 - majority)
    return bootstrap_statistic(
        lambda weights: (weights @ (before - after)) / (weights @ z),
        len(before),
        resamples,
        groups=groups,
    )


def require_modality_use(
    model: nn.Module,
    data: Dataset | DataLoader,
    modalities: Sequence[str],
    margin: float = 0.05,
    **options: object,
) -> dict[str, Ablation]:
    """`ablate` for each modality, and an error unless permuting each surely costs `margin`.

    "Surely" means the lower end of the interval of the drop. Options as in `ablate`.

    Raises:
        ModalityUnusedError: naming every modality that the model does not use, and its figures.
    """
    use = {name: ablate(model, data, name, **options) for name in modalities}
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
            f"a group has {largest} of {len(ids)} examples: others are too few to swap with"
        )
    rank = torch.randperm(len(size), generator=generator)[group]  # groups in random order
    order = torch.randperm(len(ids), generator=generator)
    order = order[rank[order].argsort(stable=True)]  # rows: group by group, random within
    source = torch.empty_like(order)
    source[order] = order.roll(-largest)
    return source


def _replaced(batches: DataLoader, modality: str, how: How, blank: int) -> Iterator[Batch]:
    """The batches with one modality replaced by nothing, or by its mean over all of them."""
    mean = _mean(batches, modality) if how == "mean" else None
    for batch in batches:
        if mean is None:
            yield _zeroed(batch, modality, blank)
        else:
            yield {**batch, modality: mean.expand_as(batch[modality])}


def _zeroed(batch: Batch, modality: str, blank: int) -> Batch:
    require(batch, modality)
    values, mask = batch[modality], f"{modality}_mask"
    if mask not in batch or values.is_floating_point():
        return {**batch, modality: torch.zeros_like(values)}
    token = values.new_full((len(values), 1), blank)
    return {**batch, modality: token, mask: torch.ones_like(token, dtype=torch.bool)}


def _mean(batches: DataLoader, modality: str) -> Tensor:
    total, count = 0.0, 0
    for batch in batches:
        require(batch, modality)
        values = batch[modality]
        if f"{modality}_mask" in batch or not values.is_floating_point():
            raise ValueError(
                f"'mean' cannot replace {modality!r}: only numbers of one shape have a mean, not "
                "token ids and not sequences of different lengths; choose 'permute' or 'zero'"
            )
        total, count = total + values.sum(dim=0), count + len(values)
    return total / count


def _dataset(data: Dataset | DataLoader) -> Dataset:
    return data.dataset if isinstance(data, DataLoader) else data


def _batches(data: Dataset | DataLoader, source: Dataset, batch_size: int) -> DataLoader:
    """`source` in its order, in batches like those of `data`."""
    if isinstance(data, DataLoader):
        return DataLoader(source, data.batch_size, collate_fn=data.collate_fn)
    return loader(source, batch_size)


def _column(data: Dataset, groups: Tensor | str) -> Tensor:
    return data.column(groups) if isinstance(groups, str) else groups
