"""BLEU: which share of the candidate's n-grams the references have, and is it long enough?

Knows n-gram counts, smoothing and the brevity penalty. Does not know where sentences come from.
Source: Papineni et al. (2002), BLEU: a method for automatic evaluation of machine translation; in
all open choices as sacrebleu (Post 2018, A call for clarity in reporting BLEU scores).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mmtutor.evaluation.generation.ngrams import Corpus, IntArray, corpus, ngrams
from mmtutor.evaluation.generation.text import Cut

SMOOTHING = {"none": 0.0, "floor": 0.1, "add-k": 1.0, "exp": 0.0}  # and the usual value


class Counts(NamedTuple):
    """What BLEU is computed from; leading axes are sentences, or none for a corpus.

    Attributes:
        correct, total: (..., orders) n-grams that a reference has, and all n-grams.
        length, reference_length: (...) tokens of the candidate, and of the closest reference.
    """

    correct: IntArray
    total: IntArray
    length: IntArray
    reference_length: IntArray


class Bleu(NamedTuple):
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
) -> Bleu:
    """Corpus BLEU and the BLEU of every sentence.

    BLEU = 100 BP (p_1 ... p_orders)^(1 / orders). p_n is the share of candidate n-grams found in
    the references, each counted at most as often as in the one reference that has it most. BP =
    exp(1 - r / c) if the candidates' length c is below r, the sum of the lengths of the closest
    references (of two equally close, the shorter).

    `smoothing` of orders without a match: "none"; "floor", `value` matches (0.1); "add-k", `value`
    (1) is added to matches and n-grams of orders above 1; "exp", 1/2, 1/4, ... matches in turn.
    Without any match at all the score is 0. A corpus whose every sentence is shorter than `orders`
    scores 0, as in sacrebleu.

    Raises TypeError and ValueError as `generation_text.check` and `cut` do.
    """
    if smoothing not in SMOOTHING:
        known = ", ".join(SMOOTHING)
        raise ValueError(f"unknown smoothing {smoothing!r}: expected one of {known}")
    value = SMOOTHING[smoothing] if value is None else value
    counts = count(corpus(candidates, references, tokenizer), orders)
    whole = Counts(*(part.sum(axis=0) for part in counts))
    score, precisions, penalty = _combine(whole, smoothing, value, effective=False)
    single, _, _ = _combine(counts, smoothing, value, effective=True)
    precisions = torch.from_numpy(100 * precisions)
    return Bleu(score.item(), torch.from_numpy(single), precisions, penalty.item())


def count(read: Corpus, orders: int) -> Counts:
    """What every sentence contributes: `Counts` with leading axis N."""
    first, last = read.references
    length = read.sentences.length[:first]
    correct = np.zeros((first, orders), dtype=np.int64)
    for n, grams in enumerate(ngrams(read.sentences, orders)):
        ours, theirs = grams.part(0, first), grams.part(first, last)
        place = ours.look_up(read.owner[theirs.row], theirs.gram)
        most = np.zeros(len(ours.row), dtype=np.int64)  # in the one reference that has it most
        np.maximum.at(most, place[place >= 0], theirs.count[place >= 0])
        np.add.at(correct[:, n], ours.row, np.minimum(ours.count, most))
    total = np.maximum(length[:, None] - np.arange(orders), 0)
    return Counts(correct, total, length, _closest(read, length))


def _closest(read: Corpus, length: IntArray) -> IntArray:
    """(N,) length of the reference closest in length; of two equally close ones the shorter."""
    lengths = read.sentences.length[slice(*read.references)]
    order = np.lexsort((lengths, np.abs(lengths - length[read.owner]), read.owner))
    start = np.searchsorted(read.owner, np.arange(read.candidates))  # owners ascend, sorted or not
    return lengths[order][start]


def _combine(
    counts: Counts, smoothing: str, value: float, effective: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """BLEU in percent (...), precisions in [0, 1] (..., orders) and brevity penalties (...)."""
    correct, total = counts.correct.astype(float), counts.total.astype(float)
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
    penalty = _brevity(counts.length, counts.reference_length)
    return np.where(anything, 100 * penalty * np.exp(mean), 0.0), precisions, penalty


def _brevity(length: IntArray, reference: IntArray) -> np.ndarray:
    ratio = np.divide(reference, length, out=np.full(np.shape(length), np.inf), where=length > 0)
    return np.where(length < reference, np.exp(1 - ratio), 1.0)
