"""Scores of generated text on a corpus of COCO's test size, five references each: CIDEr-D and
ROUGE-L against pycocoevalcap, BLEU against sacrebleu."""

from __future__ import annotations

import numpy as np

from benchmarks.harness import Comparison
from mmtutor.evaluation.generation import bleu, cider_d, rouge_l

REFERENCES = 5
WORDS = 8_000
CIDER_BOUND = 1 / 15


def comparisons(images: int = 5_000) -> list[Comparison]:
    """Three rows; every way starts from the strings."""
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge
    from sacrebleu import BLEU

    candidates, references = captions(images)
    keyed = dict(enumerate(references)), {i: [text] for i, text in enumerate(candidates)}
    columns = [list(column) for column in zip(*references, strict=True)]
    tokenised = BLEU(tokenize="none", force=True)
    size = f"{images:,} images × {REFERENCES} references"
    return [
        Comparison(
            f"CIDEr-D, {size}",
            "pycocoevalcap",
            lambda: cider_d(candidates, references).per_example.numpy(),
            lambda: Cider().compute_score(*keyed)[1],
            _same,
            at_most=CIDER_BOUND,
            rounds=5,
        ),
        Comparison(
            f"ROUGE-L, {size}",
            "pycocoevalcap",
            lambda: rouge_l(candidates, references).per_example.numpy(),
            lambda: Rouge().compute_score(*keyed)[1],
            _same,
            rounds=3,
        ),
        Comparison(
            f"corpus BLEU, {size}",
            "sacrebleu, text tokenised already",
            lambda: bleu(candidates, references, tokenizer="words").score,
            lambda: tokenised.corpus_score(candidates, columns).score,
            _same,
            rounds=3,
        ),
    ]


def captions(images: int) -> tuple[list[str], list[list[str]]]:
    """Made-up captions of 7 to 14 words, drawn as words are in a language: by Zipf's law.

    The candidate and the references of an image are one sentence with four words in ten changed.
    """
    draw = np.random.default_rng(0)
    share = 1 / np.arange(1, WORDS + 1)
    words = np.array([f"word{i}" for i in range(WORDS)])
    texts = []
    for length in draw.integers(7, 15, images):
        fresh = draw.choice(WORDS, (2 + REFERENCES, length), p=share / share.sum())
        said = np.where(draw.random(fresh[1:].shape) < 0.4, fresh[1:], fresh[0])
        texts.append([" ".join(row) for row in words[said]])
    return [row[0] for row in texts], [row[1:] for row in texts]


def _same(ours: np.ndarray, theirs: np.ndarray) -> None:
    difference = np.abs(np.asarray(ours) - np.asarray(theirs)).max()
    assert difference <= 1e-12, difference
