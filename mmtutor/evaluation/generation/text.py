"""Cutting sentences into tokens, the first decision of every n-gram metric.

Knows the cuts that published scores were made with. Does not know n-grams or scores. The Penn
Treebank cut, which scores on COCO use, is in `treebank`.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Sequence
from itertools import chain, islice
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mmtutor import checks
from mmtutor.data.tokenizer import words as caption_words
from mmtutor.evaluation.generation.treebank import _treebank

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
    "char": lambda text: [sign for sign in text if not sign.isspace()],  # code points
    "coco": _treebank,  # as COCO's program, for captions in English
    "caption": caption_words,  # lower case, no punctuation, each Chinese character alone
}


def tokenize(texts: Sequence[str], tokenizer: str | Cut) -> list[list[str]]:
    """The tokens of each text, by a name in `TOKENIZERS` or by a function of one text.

    Raises ValueError for an unknown name, TypeError for what is no list of strings, or if the
    function does not give one.
    """
    return _cut(checks.listed(str, texts=texts), tokenizer)


def examples(
    candidates: Sequence[str], references: Sequence[Sequence[str]], tokenizer: str | Cut
) -> list[tuple[list[str], list[list[str]]]]:
    """The tokens of each candidate, and of each of its references: at least one.

    Raises:
        TypeError: a string where a list of strings belongs, which would be read letter by letter.
        ValueError: no example, unequal lengths, or an example without a reference.
    """
    candidates = checks.listed(str, candidates=candidates)
    theirs = lists_of_tokens(references, tokenizer, "references")
    checks.same_length(candidates=candidates, references=theirs)
    return list(zip(_cut(candidates, tokenizer), theirs, strict=True))


def lists_of_tokens(
    lists: Sequence[Sequence[str]], tokenizer: str | Cut, name: str = "lists"
) -> list[list[list[str]]]:
    """The tokens of each text of each list; a refusal calls the lists by `name`.

    Raises TypeError for what is no list of lists of strings, ValueError for an empty list.
    """
    found = checks.listed(object, **{name: lists})
    plain = all(type(texts) is list and texts for texts in found)
    if not plain or not all(type(text) is str for text in chain.from_iterable(found)):
        found = [checks.listed(str, **{f"{name}[{i}]": each}) for i, each in enumerate(found)]
        if [] in found:
            raise ValueError(f"{name}[{found.index([])}] must hold at least one text, got none")
    checks.same_length(**{name: found})
    tokens = iter(_cut(list(chain.from_iterable(found)), tokenizer))
    return [list(islice(tokens, len(texts))) for texts in found]


def _cut(texts: list[str], tokenizer: str | Cut) -> list[list[str]]:
    if not callable(tokenizer):
        checks.one_of(TOKENIZERS, tokenizer=tokenizer)
        return list(map(TOKENIZERS[tokenizer], texts))
    found = list(map(tokenizer, texts))
    for tokens in found:
        if not isinstance(tokens, list | tuple) or not all(isinstance(t, str) for t in tokens):
            raise TypeError(f"tokenizer must make a list of strings of a text, got {tokens!r:.60}")
    return found
