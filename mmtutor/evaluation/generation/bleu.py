"""BLEU: which share of the candidate's n-grams the references have, and is it long enough?

Knows n-gram counts, smoothing and the brevity penalty. Does not know where sentences come from.
Source: Papineni et al. (2002), BLEU: a method for automatic evaluation of machine translation; in
all open choices as sacrebleu (Post 2018, A call for clarity in reporting BLEU scores).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import or_
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mmtutor import checks
from mmtutor.evaluation.generation.ngrams import _ngram_counts
from mmtutor.evaluation.generation.text import Cut, examples

SMOOTHING = {"none": 0.0, "floor": 0.1, "add-k": 1.0, "exp": 0.0}  # and the usual value


class _Bleu(NamedTuple):
    """Scores from 0 to 100.

    Attributes:
        score: corpus BLEU, from counts summed over all sentences. It is not a mean of anything.
        per_example: (N,) float64, sentence BLEU: only orders that the candidate is long enough for.
        precisions: (orders,) float64 of the corpus, in percent.
        brevity_penalty: of the corpus, in [0, 1].
    """

    score: float
    per_example: Tensor
    precisions: Tensor
    brevity_penalty: float


def bleu(
    candidates: Sequence[str],
    references: Sequence[Sequence[str]],
    tokenizer: str | Cut = "13a",
    smoothing: str = "exp",
    value: float | None = None,
    orders: int = 4,
) -> _Bleu:
    """Corpus BLEU and the BLEU of every sentence.

    BLEU = 100 BP (p_1 ... p_orders)^(1 / orders). p_n is the share of candidate n-grams found in
    the references, each counted at most as often as in the one reference that has it most. BP =
    exp(1 - r / c) if the candidates' length c is below r, the sum of the lengths of the closest
    references (of two equally close, the shorter).

    `smoothing` of orders without a match: "none"; "floor", `value` matches (0.1); "add-k", `value`
    (1) is added to matches and n-grams of orders above 1; "exp", 1/2, 1/4, ... matches in turn.
    Without any match at all the score is 0. A corpus whose every sentence is shorter than `orders`
    scores 0, as in sacrebleu.

    Raises TypeError and ValueError as `text.examples` does, and for an unknown smoothing,
    a negative value or no order.
    """
    checks.one_of(SMOOTHING, smoothing=smoothing)
    checks.at_least(1, orders=orders)
    value = SMOOTHING[smoothing] if value is None else value
    checks.within("[0, inf)", value=value)
    pairs = examples(candidates, references, tokenizer)
    counts = np.array([_sentence_counts(*pair, orders) for pair in pairs])  # [N, 2 orders + 2]
    score, precisions, penalty = _combine(counts.sum(axis=0), smoothing, value, effective=False)
    single, _, _ = _combine(counts, smoothing, value, effective=True)
    precisions = torch.from_numpy(100 * precisions)
    return _Bleu(score.item(), torch.from_numpy(single), precisions, penalty.item())


def _sentence_counts(
    candidate: Sequence[str], references: Sequence[Sequence[str]], orders: int = 4
) -> list[int]:
    """What one sentence of tokens brings to BLEU; the counts of a corpus are the sums.

    n-grams that a reference has, of order 1 to `orders`; all n-grams, likewise; the candidate's
    length; and the length of the closest reference, of two equally close ones the shorter.
    """
    correct, total = [], []
    for n in range(1, orders + 1):
        ours = _ngram_counts(candidate, n)
        most = reduce(or_, (_ngram_counts(reference, n) for reference in references))
        correct.append((ours & most).total())
        total.append(ours.total())
    length = len(candidate)
    closest = min(map(len, references), key=lambda other: (abs(other - length), other))
    return [*correct, *total, length, closest]


def _combine(
    counts: np.ndarray, smoothing: str, value: float, effective: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """BLEU in percent (...), precisions in [0, 1] (..., orders) and brevity penalties (...).

    `counts` (..., 2 orders + 2) as `_sentence_counts` gives them.
    """
    correct, total = np.split(counts[..., :-2].astype(float), 2, axis=-1)
    anything = correct.any(axis=-1)
    if smoothing == "add-k":
        correct[..., 1:] += value
        total[..., 1:] += value
    missed = (correct == 0) & (total > 0)
    if smoothing == "floor":
        correct[missed] = value
    elif smoothing == "exp":
        correct = np.where(missed, 0.5 ** missed.cumsum(axis=-1), correct)
    counted = total > 0
    precisions = np.divide(correct, total, out=np.zeros_like(correct), where=counted)
    precisions[~anything] = 0
    orders = counted.sum(axis=-1) if effective else correct.shape[-1]
    logs = np.log(precisions, out=np.full_like(precisions, -np.inf), where=precisions > 0)
    logs = np.where(counted, logs, 0.0) if effective else logs
    mean = logs.sum(axis=-1) / np.maximum(orders, 1)
    penalty = _brevity(counts[..., -2], counts[..., -1])
    return np.where(anything, 100 * penalty * np.exp(mean), 0.0), precisions, penalty


def _brevity(length: np.ndarray, reference: np.ndarray) -> np.ndarray:
    ratio = np.divide(reference, length, out=np.full(np.shape(length), np.inf), where=length > 0)
    return np.where(length < reference, np.exp(1 - ratio), 1.0)
