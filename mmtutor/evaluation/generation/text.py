"""Cutting sentences into tokens, the first decision of every n-gram metric.

Knows the cuts that published scores were made with. Does not know n-grams or scores. Java's Penn
Treebank cut, which scores on COCO use, is not here: `caption` is close to it.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mmtutor.data.tokenizer import words as caption_words

Cut = Callable[[str], list[str]]

SYMBOLS = re.escape("".join(sign for sign in string.punctuation if sign not in "'-.,"))
# The rules of mteval-v13a: ASCII symbols stand alone; full stop and comma do unless they are inside
# a number; a dash does after a digit.
RULES = (
    (re.compile(f"([{SYMBOLS}])"), r" \1 "),
    (re.compile(r"([^0-9])([.,])"), r"\1 \2 "),
    (re.compile(r"([.,])([^0-9])"), r" \1 \2"),
    (re.compile(r"([0-9])(-)"), r"\1 \2 "),
)
ENTITIES = (("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"))
# What sacrebleu's `zh` cut sets apart: ideographs, full-width forms, and typographic signs with
# them (its ranges for the rare ideographs beyond U+20000 read as U+2001 to U+2A6D).
CHINESE = re.compile(
    "([\u2001-\u2a6d\u2e80-\u2fdf\u2ff0-\u303f\u3100-\u312f\u31a0-\u31ef\u3200-\u4db5\u4e00-\u9fbb"
    "\uf900-\ufa2d\ufa30-\ufa6a\ufa70-\ufad9\ufe10-\ufe1f\ufe30-\ufe4f\uff00-\uffef])"
)


class Scores(NamedTuple):
    """What a metric says of N examples.

    Attributes:
        score: of all of them: the mean, where the metric does not say otherwise.
        per_example: (N,) float64.
    """

    score: float
    per_example: Tensor

    @classmethod
    def mean(cls, per_example: np.ndarray) -> Scores:
        """The scores (N,) and their mean."""
        return cls(per_example.mean().item(), torch.from_numpy(per_example))


def _mteval(text: str) -> list[str]:
    """The cut of mteval-v13a, the usual one for BLEU: "a-b, 3.5 m." -> a-b , 3.5 m ."""
    text = text.rstrip().replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
    for entity, sign in ENTITIES:
        text = text.replace(entity, sign)
    return _ruled(f" {text} ")


def _chinese(text: str) -> list[str]:
    """Each Chinese character alone, the rest by the rules of mteval; as sacrebleu's `zh`."""
    return _ruled(CHINESE.sub(r" \1 ", text.strip()))


def _ruled(text: str) -> list[str]:
    for pattern, spaced in RULES:
        text = pattern.sub(spaced, text)
    return text.split()


TOKENIZERS: dict[str, Cut] = {
    "words": str.split,  # at white space, and nothing else: for text that is tokenised already
    "13a": _mteval,
    "zh": _chinese,
    "char": lambda text: [character for character in text if not character.isspace()],
    "caption": caption_words,  # lower case, no punctuation, each Chinese character alone
}


def tokenize(texts: Sequence[str], tokenizer: str | Cut) -> list[list[str]]:
    """The tokens of each text, by a name in `TOKENIZERS` or by a function of one text.

    Raises ValueError for an unknown name, TypeError if a text is not a string.
    """
    if isinstance(tokenizer, str):
        if tokenizer not in TOKENIZERS:
            known = ", ".join(TOKENIZERS)
            raise ValueError(f"unknown tokenizer {tokenizer!r}: expected one of {known}")
        tokenizer = TOKENIZERS[tokenizer]
    try:
        return list(map(tokenizer, texts))
    except (TypeError, AttributeError):
        wrong = [text for text in texts if not isinstance(text, str)]
        if not wrong:
            raise
        raise TypeError(f"expected texts, got {wrong[0]!r}") from None


def examples(
    candidates: Sequence[str], references: Sequence[Sequence[str]], tokenizer: str | Cut
) -> list[tuple[list[str], list[list[str]]]]:
    """The tokens of each candidate, and of each of its references: at least one.

    Raises:
        TypeError: a string where a list of strings belongs, which would be read letter by letter.
        ValueError: no example, unequal lengths, or an example without a reference.
    """
    if isinstance(candidates, str) or isinstance(references, str):
        raise TypeError("candidates must be a list of strings, references a list of such lists")
    if len(candidates) != len(references) or not len(candidates):
        raise ValueError(
            f"expected as many candidates as lists of references, and at least one, "
            f"got {len(candidates)} and {len(references)}"
        )
    for i, some in enumerate(references):
        if isinstance(some, str):
            raise TypeError(f"references[{i}] must be a list of strings, got the string {some!r}")
        if not len(some):
            raise ValueError(f"references[{i}] is empty: every example needs a reference")
    theirs = (tokenize(some, tokenizer) for some in references)
    return list(zip(tokenize(candidates, tokenizer), theirs, strict=True))
