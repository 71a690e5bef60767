"""Scores of generated text: `mmtutor.evaluation.generation`."""

from __future__ import annotations

import random
from types import SimpleNamespace

import numpy as np
import pytest
import sacrebleu
import torch
import torch.nn.functional as F
from pycocoevalcap.rouge.rouge import Rouge
from torchmetrics.functional.text import char_error_rate, word_error_rate

from mmtutor.encoders import Encoded
from mmtutor.evaluation import generation as g
from mmtutor.evaluation.generation.text import examples, lists_of_tokens
from tests.sweep.entries import entry
from tests.sweep.kinds import (
    Kind,
    constant,
    count,
    floats,
    given,
    labels,
    masks,
    number,
    option,
    optional,
    references,
    texts,
    weights,
)


def tokenizer(*names: str) -> Kind:
    """A tokenizer's name, or a function."""
    return option(*names).but(
        letters=lambda random, x: str.lower, numbers=lambda random, x: lambda text: [len(text)]
    )


def transposed(lists):
    most = max(map(len, lists))
    return [[some[i] if i < len(some) else None for some in lists] for i in range(most)]


def as_sacrebleu(value, a: SimpleNamespace):
    peer = sacrebleu.BLEU(
        tokenize=a.tokenizer,
        smooth_method=a.smoothing,
        smooth_value=a.value,
        max_ngram_order=a.orders,
    )
    theirs = peer.corpus_score(a.candidates, transposed(a.references))
    return value.score == pytest.approx(theirs.score, abs=1e-9)


def as_coco(value, a: SimpleNamespace):
    if a.tokenizer != "words" or a.beta != 1.2 or a.best != "parts":
        return bool((value.per_example >= 0).all() and (value.per_example <= 1 + 1e-12).all())
    keys = range(len(a.candidates))
    ours = {key: [a.candidates[key]] for key in keys}
    _, theirs = Rouge().compute_score(dict(zip(keys, a.references, strict=True)), ours)
    return np.allclose(value.per_example, theirs, atol=1e-12)


def as_torchmetrics(value, a: SimpleNamespace):
    peer = {"words": word_error_rate, "char": char_error_rate}[a.tokenizer]
    without = [text.replace(" ", "") if a.tokenizer == "char" else text for text in a.candidates]
    right = [text.replace(" ", "") if a.tokenizer == "char" else text for text in a.references]
    return value.score == pytest.approx(float(peer(without, right)), abs=1e-6)


def as_plain(value, a: SimpleNamespace):
    """The plain form, where it has the same options; else the score of an own reference is high."""
    if a.background is None and a.sigma == 6.0:
        plain = g.plain_cider_d(a.candidates, a.references)
        return torch.allclose(value.per_example, plain.per_example)
    copied = [some[0] for some in a.references]
    own = g.cider_d(copied, a.references, "words", a.sigma, a.background)
    return bool((own.per_example >= -1e-9).all() and (value.per_example <= 10 + 1e-9).all())


def in_any_order(score):
    """Scores of the examples backwards are the scores backwards."""

    def holds(value, a: SimpleNamespace):
        given = vars(a) | {"candidates": a.candidates[::-1], "references": a.references[::-1]}
        return torch.allclose(score(**given).per_example, value.per_example.flip(0))

    return holds


def encoded(letter: str) -> Kind:
    """N sentences of embedded tokens."""

    def good(random: random.Random, sizes) -> Encoded:
        tokens = floats(f"{letter} L D").good(random, sizes)
        return Encoded(tokens, masks(f"{letter} L").good(random, sizes))

    return Kind(
        good,
        bad={
            "no such object": lambda random, x: random.choice([None, "abc", 3, x.tokens]),
            "NaN": lambda random, x: Encoded(x.tokens * float("nan"), x.mask),
            "no token": lambda random, x: Encoded(x.tokens, x.mask & False),
            "narrow mask": lambda random, x: Encoded(x.tokens, x.mask[:, :1]),
            "long mask": lambda random, x: Encoded(x.tokens, torch.cat([x.mask, x.mask])),
            "no mask of two": lambda random, x: Encoded(x.tokens, x.mask * 2),
            "one axis less": lambda random, x: Encoded(x.tokens[:, :, 0], x.mask),
            "empty": lambda random, x: Encoded(x.tokens[:0], x.mask[:0]),
            "other width": lambda random, x: Encoded(x.tokens[..., :-1], x.mask),
        },
        same={
            "0 and 1": lambda random, x: Encoded(x.tokens, x.mask.long()),
            "double": lambda random, x: Encoded(x.tokens.double(), x.mask),
            "half": lambda random, x: Encoded(x.tokens.half(), x.mask),
        },
    )


def matched(value, a: SimpleNamespace):
    """Equation by equation, for plain weights."""
    for i, part in enumerate(zip(*value, strict=True)):
        ours = a.candidate.tokens[i][a.candidate.mask[i]]
        theirs = a.reference.tokens[i][a.reference.mask[i]]
        cosine = F.normalize(ours, dim=-1) @ F.normalize(theirs, dim=-1).T
        best, found = cosine.amax(1), cosine.amax(0)
        if a.candidate_weight is not None:
            weight = a.candidate_weight[i][a.candidate.mask[i]]
            precision = (best * weight).sum() / weight.sum()
        else:
            precision = best.mean()
        if not np.isclose(part[0], precision, atol=1e-5):
            return False
        if a.reference_weight is None and not np.isclose(part[1], found.mean(), atol=1e-5):
            return False
    return True


def weighed(value, a: SimpleNamespace):
    """log((M + 1) / (d + 1)), counted by sets."""
    having = [set(row[m].tolist()) for row, m in zip(a.references, a.references_mask, strict=True)]
    for i, row in enumerate(a.ids.tolist()):
        for j, token in enumerate(row):
            d = sum(token in words for words in having)
            right = np.log((len(having) + 1) / (d + 1)) if a.mask[i, j] else 0
            if not np.isclose(value[i, j], right):
                return False
    return True


def clip(image, text):
    return 2.5 * F.cosine_similarity(image, text).clamp(min=0)


def both_parts(value, a: SimpleNamespace):
    first = clip(a.image, a.text) / 2.5 * a.weight
    cosine = F.cosine_similarity(a.text[:, None], a.references, dim=-1)
    keep = torch.ones_like(cosine).bool() if a.mask is None else a.mask
    second = torch.stack([row[k].amax().clamp(min=0) for row, k in zip(cosine, keep, strict=True)])
    mean = 2 * first * second / (first + second).clamp(min=1e-12)
    return torch.allclose(value, mean, atol=1e-5)


def shown(letter: str) -> Kind:
    """Lists of names of things; one may be empty."""
    return references(letter, lambda random: random.choice(THINGS)).without("one without")


def halves(value, a: SimpleNamespace):
    """As many of what is there as of what is not, and the truth about each."""
    right = all((q.object in a.objects[q.image]) == q.present for q in value)
    return right and sum(q.present for q in value) * 2 == len(value)


def shares(value, a: SimpleNamespace):
    pairs = list(zip(a.mentioned, a.objects, strict=True))
    wrong = [sum(name not in there for name in said) for said, there in pairs]
    w = np.ones(len(wrong)) if a.weights is None else a.weights.double().numpy()
    named = w @ [len(said) for said, _ in pairs]
    due = [w @ wrong / named if named else 0, w @ [n > 0 for n in wrong] / w.sum()]
    return np.allclose([value.instances, value.sentences], due)


THINGS = ("cup", "hot dog", "dog", "moon")
CUTS = tokenizer("words", "13a", "zh", "char", "caption")
TEXTS = {"candidates": texts("N"), "references": references("N")}

ENTRIES = [
    entry(
        g.bleu,
        **TEXTS,
        tokenizer=tokenizer("13a", "zh"),
        smoothing=option("none", "floor", "add-k", "exp"),
        value=optional(number("[0, inf)", 0.1, 1.0)),
        orders=count(1, 4),
        holds=lambda value, a: as_sacrebleu(value, a),
    ),
    entry(
        g.rouge_l,
        **TEXTS,
        tokenizer=CUTS,
        beta=number("[0, inf)", 0.5, 2.0),
        best=option("parts", "whole"),
        holds=as_coco,
    ),
    entry(
        g.rouge_l,
        **TEXTS,
        tokenizer=tokenizer("words"),
        beta=constant(1.2),
        best=constant("parts"),
        holds=as_coco,
    ),
    entry(
        g.error_rate,
        candidates=texts("N"),
        references=texts("N"),
        tokenizer=tokenizer("words", "char"),
        holds=as_torchmetrics,
    ),
    entry(g.meteor_lite, **TEXTS, tokenizer=CUTS, holds=in_any_order(g.meteor_lite)),
    entry(
        g.cider,
        **TEXTS,
        tokenizer=CUTS,
        background=optional(references("B")),
        holds=in_any_order(g.cider),
    ),
    entry(
        g.cider_d,
        **TEXTS,
        tokenizer=tokenizer("words"),
        sigma=number("(0, inf)", 1.0, 9.0),
        background=optional(references("B")),
        holds=as_plain,
    ),
    entry(
        g.cider_d,
        **TEXTS,
        tokenizer=tokenizer("words"),
        sigma=constant(6.0),
        background=constant(None),
        holds=as_plain,
    ),
    entry(
        g.plain_cider_d,
        **TEXTS,
        tokenizer=CUTS,
        holds=lambda value, a: torch.allclose(value.per_example, g.cider_d(**vars(a)).per_example),
    ),
    entry(
        g.distinct,
        candidates=texts("N"),
        n=count(1, 3),
        tokenizer=CUTS,
        holds=lambda value, a: 0 <= value <= 1,
    ),
    entry(
        g.pope_questions,
        objects=shown("N"),
        how=option("random", "popular", "adversarial"),
        each=count(),
        seed=count(least=0),
        holds=halves,
    ),
    entry(
        g.says_yes,
        answers=texts(
            make=lambda random: random.choice(["yes", "no", "It is not. Yes", "Yes. no"])
        ),
        holds=lambda value, a: value.tolist() == [answer[0] in "yY" for answer in a.answers],
    ),
    entry(
        g.mentions,
        captions=texts(make=lambda random: f"{random.choice(THINGS)}s"),
        synonyms=given({name: [name[::-1]] for name in THINGS}),
        holds=lambda value, a: value == [[caption[:-1]] for caption in a.captions],
    ),
    entry(
        g.chair,
        mentioned=shown("N"),
        objects=shown("N"),
        weights=optional(weights("N")),
        holds=shares,
    ),
    entry(
        g.tokenize,
        texts=texts("N").without("empty"),  # no texts have no tokens
        tokenizer=CUTS,
        holds=lambda value, a: all(
            "".join(row) == (text.lower() if a.tokenizer == "caption" else text).replace(" ", "")
            for row, text in zip(value, a.texts, strict=True)
        ),
    ),
    entry(
        examples,
        **TEXTS,
        tokenizer=CUTS,
        holds=lambda value, a: all(
            row == g.tokenize([text], a.tokenizer)[0]
            for (row, _), text in zip(value, a.candidates, strict=True)
        ),
    ),
    entry(
        lists_of_tokens,
        lists=references("N"),
        tokenizer=CUTS,
        name=constant("lists"),
        holds=lambda value, a: value == [g.tokenize(some, a.tokenizer) for some in a.lists],
    ),
    entry(
        g.clip_score,
        image=floats("N D"),
        text=floats("N D"),
        weight=number("(0, inf)", 0.5, 3.0),
        holds=lambda value, a: torch.allclose(value, clip(a.image, a.text) / 2.5 * a.weight),
    ),
    entry(
        g.ref_clip_score,
        image=floats("N D"),
        text=floats("N D"),
        references=floats("N R D"),
        mask=optional(masks("N R")),
        weight=number("(0, inf)", 0.5, 3.0),
        holds=both_parts,
    ),
    entry(
        g.bert_score,
        candidate=encoded("N"),
        reference=encoded("N"),
        candidate_weight=optional(weights("N L").without("nothing")),  # then the plain mean
        reference_weight=optional(weights("N L").without("nothing")),
        owner=optional(labels("N", "N", make=lambda random, sizes: torch.arange(sizes["N"]))),
        holds=matched,
    ),
    entry(
        g.idf,
        ids=labels("B L", 9).without("too large"),  # any number may stand for a word
        mask=masks("B L"),
        references=labels("M R", 9).without("too large"),
        references_mask=masks("M R"),
        holds=weighed,
    ),
]
