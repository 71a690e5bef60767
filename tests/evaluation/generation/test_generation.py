"""Scores of generated text, against the programs that published scores were made with."""

from __future__ import annotations

import math
import random
from collections import Counter
from itertools import permutations

import numpy as np
import pytest
import sacrebleu
import torch
from pycocoevalcap.bleu.bleu_scorer import BleuScorer
from pycocoevalcap.cider.cider import Cider as CocoCider
from pycocoevalcap.rouge.rouge import Rouge as CocoRouge
from torchmetrics.functional.text import char_error_rate, rouge_score, word_error_rate

from mmtutor.evaluation.generation import (
    bleu,
    cider,
    cider_d,
    distinct,
    error_rate,
    meteor_lite,
    plain_cider_d,
    rouge_l,
)
from mmtutor.evaluation.generation.text import TOKENIZERS, tokenize
from mmtutor.notebook.random_captions import _Examples, random_examples

CASES = 1_000


@pytest.fixture(scope="module")
def examples():
    return random_examples(CASES)


@pytest.fixture(scope="module")
def corpora():
    """Small corpora of one to three examples each."""
    examples, draw = random_examples(3 * CASES, seed=1), random.Random(1)
    some = [slice(3 * i, 3 * i + draw.randint(1, 3)) for i in range(CASES)]
    return [_Examples(*(part[s] for part in examples)) for s in some]


def coco(scorer, candidates, references):
    """A program of pycocoevalcap on our arguments: mean, and (N,) scores."""
    keys = range(len(candidates))
    gts = dict(zip(keys, references, strict=True))
    return scorer.compute_score(gts, {key: [candidates[key]] for key in keys})


def transposed(references):
    """As sacrebleu wants them: one list for each place, None where there is no reference."""
    most = max(map(len, references))
    return [[some[i] if i < len(some) else None for some in references] for i in range(most)]


# Tokens


@pytest.mark.parametrize("name", ["13a", "zh", "char"])
def test_cuts_equal_sacrebleu(name, examples):
    peer = sacrebleu.BLEU(tokenize=name)._preprocess_segment
    hard = ["", " ", "a..5", "3.", ".3", "a-\nb", "x<skipped>y\nz", "5-5 &lt;&quot;", "a&amp;quot;"]
    texts = [*examples.candidates, *(r for some in examples.references for r in some), *hard]
    for text, tokens in zip(texts, tokenize(texts, name), strict=True):
        assert tokens == peer(text).split(), text


def test_the_chinese_cut_equals_sacrebleu_on_every_character():
    peer = sacrebleu.BLEU(tokenize="zh")._preprocess_segment
    signs = [chr(code) for code in range(0x10000) if not 0xD800 <= code < 0xE000]
    signs += [chr(code) for code in range(0x1F600, 0x2FFFF, 97)]
    blocks = ["".join(f"a{c}b" for c in signs[i : i + 64]) for i in range(0, len(signs), 64)]
    assert all(TOKENIZERS["zh"](block) == peer(block).split() for block in blocks)


def test_the_cut_of_captions_has_no_case_and_no_punctuation():
    assert tokenize(["A dog's ball, 一只狗。"], "caption") == [
        ["a", "dog's", "ball", "一", "只", "狗"]
    ]


# BLEU


@pytest.mark.parametrize("smoothing", ["none", "floor", "add-k", "exp"])
def test_sentence_bleu_equals_sacrebleu(smoothing, examples):
    ours = bleu(*examples, smoothing=smoothing).per_example
    peer = sacrebleu.BLEU(smooth_method=smoothing, effective_order=True)
    theirs = [peer.sentence_score(*pair).score for pair in zip(*examples, strict=True)]
    assert np.abs(ours.numpy() - theirs).max() < 1e-10


@pytest.mark.parametrize(
    ("options", "cases"),
    [
        ({}, CASES),
        ({"smoothing": "floor", "value": 0.5}, 100),
        ({"tokenizer": "zh", "orders": 2}, 100),
    ],
)
def test_corpus_bleu_equals_sacrebleu(options, cases, corpora):
    names = {"smoothing": "smooth_method", "value": "smooth_value"}
    names |= {"tokenizer": "tokenize", "orders": "max_ngram_order"}
    peer = sacrebleu.BLEU(**{names[key]: value for key, value in options.items()})
    for candidates, references in corpora[:cases]:
        ours = bleu(candidates, references, **options)
        theirs = peer.corpus_score(candidates, transposed(references))
        assert ours.score == pytest.approx(theirs.score, abs=1e-10)
        assert ours.precisions.tolist() == pytest.approx(theirs.precisions, abs=1e-10)
        assert ours.brevity_penalty == pytest.approx(theirs.bp, abs=1e-12)


def test_bleu_of_one_to_four_equals_pycocoevalcap(corpora, examples):
    options = {"tokenizer": "words", "smoothing": "none"}
    for some in [examples, *corpora[:200]]:
        scorer = BleuScorer(n=4)
        for pair in zip(*some, strict=True):
            scorer += pair
        theirs, _ = scorer.compute_score(option="closest")
        ours = [bleu(*some, orders=n, **options).score / 100 for n in range(1, 5)]
        matched = [i for i, score in enumerate(ours) if score > 0]  # it adds 1e-15 to no match
        assert [ours[i] for i in matched] == pytest.approx([theirs[i] for i in matched], abs=1e-8)


def test_bleu_by_hand():
    found = bleu(["the the the cat"], [["the cat sat", "the the mat is on the floor"]], orders=2)
    # 1-grams: three "the" in the second reference, one "cat": 4 of 4; 2-grams: 2 of 3.
    assert found.precisions.tolist() == pytest.approx([100, 200 / 3])
    assert found.brevity_penalty == 1  # 3 words are closer to 4 than 7 are
    assert found.score == pytest.approx(100 * math.sqrt(2 / 3))


def test_the_shorter_of_two_equally_close_references_counts():
    assert bleu(["a b c"], [["a b c d", "a b"]]).brevity_penalty == 1


# ROUGE-L


def test_rouge_l_equals_pycocoevalcap(examples):
    ours, (mean, theirs) = rouge_l(*examples), coco(CocoRouge(), *examples)
    assert np.abs(ours.per_example.numpy() - theirs).max() < 1e-14
    assert ours.score == pytest.approx(mean, abs=1e-14)


def test_rouge_l_of_the_best_reference_equals_torchmetrics(examples):
    ours = rouge_l(*examples, beta=1, best="whole").per_example
    options = {"rouge_keys": "rougeL", "accumulate": "best"}
    options |= {"normalizer": lambda text: text, "tokenizer": str.split}
    theirs = [
        rouge_score(candidate, some, **options)["rougeL_fmeasure"]
        for candidate, some in zip(*examples, strict=True)
    ]
    torch.testing.assert_close(ours.float(), torch.stack(theirs), rtol=0, atol=1e-6)


def test_rouge_l_by_hand():
    candidate, references = "police kill the gunman", ["police killed the gunman"]
    assert rouge_l([candidate], [references], beta=1).score == pytest.approx(3 / 4)
    # the largest precision is of one reference, the largest recall of the other
    both = [["a x y z", "b"]]
    assert rouge_l(["a b"], both).score == pytest.approx(2.44 * 0.5 / (1 + 1.44 * 0.5))
    assert rouge_l(["a b"], both, beta=1, best="whole").score == pytest.approx(2 / 3)


# CIDEr


def test_cider_d_equals_pycocoevalcap(corpora, examples):
    worst = 0.0
    for some in [*corpora, examples]:
        ours, (mean, theirs) = cider_d(*some), coco(CocoCider(), *some)
        worst = max(worst, np.abs(ours.per_example.numpy() - theirs).max(), ours.score - mean)
    assert worst < 1e-12
    assert ours.score > 0.5


def test_the_plain_form_equals_the_fast_one(corpora, examples):
    some = slice(0, 100)
    for pair in [*corpora[:200], (examples.candidates[some], examples.references[some])]:
        plain, fast = plain_cider_d(*pair), cider_d(*pair)
        torch.testing.assert_close(plain.per_example, fast.per_example, rtol=0, atol=1e-12)
        assert plain.score == pytest.approx(fast.score, abs=1e-12)


def test_a_single_image_makes_cider_d_zero():
    assert cider_d(["a red dog"], [["a red dog"]]).score == 0
    known = [["a red dog"], ["a blue cat", "one blue cat"]]
    assert cider_d(["a red dog runs"], [["a red dog runs"]], background=known).score == (
        pytest.approx(10)
    )


def test_cider_d_with_a_background_of_its_own_references_changes_nothing(examples):
    plain, same = cider_d(*examples), cider_d(*examples, background=examples.references)
    assert torch.equal(plain.per_example, same.per_example)


def slow_cider(candidates, references, order=4):
    """CIDEr from section 3 of the paper, n-gram by n-gram."""

    def grams(text, n):
        words = text.split()
        return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))

    def cosine(one, other):
        norms = math.hypot(*one.values()) * math.hypot(*other.values())
        return sum(w * other.get(g, 0) for g, w in one.items()) / norms if norms else 0

    scores = np.zeros(len(candidates))
    for n in range(1, order + 1):
        having = Counter(
            g for some in references for g in set().union(*(grams(r, n) for r in some))
        )

        def weigh(text, n=n, having=having):
            idf = {g: math.log(len(references) / max(having[g], 1)) for g in grams(text, n)}
            return {g: count * idf[g] for g, count in grams(text, n).items()}

        for i, (candidate, some) in enumerate(zip(candidates, references, strict=True)):
            cosines = [cosine(weigh(candidate), weigh(r)) for r in some]
            scores[i] += 10 / order * np.mean(cosines)
    return scores


def test_plain_cider_equals_its_definition(corpora):
    for some in corpora:
        assert np.abs(cider(*some).per_example.numpy() - slow_cider(*some)).max() < 1e-12


def test_repetition_games_cider_and_not_cider_d():
    references = [["a dog on grass"], ["a cat in a box"], ["two birds over a lake"]]
    honest, long = "a dog on grass", "a dog on grass " * 4
    assert cider([long, "", ""], references).per_example[0] > 7
    scores = [cider_d([text, "", ""], references).per_example[0] for text in (honest, long)]
    assert scores[1] < 0.2 * scores[0]


# METEOR's idea


def slow_meteor(candidate, reference):
    """The k-th of a word with the k-th of the same word, by looking."""
    words, other = candidate.split(), reference.split()
    spots = {}
    for j, word in enumerate(other):
        spots.setdefault(word, []).append(j)
    to = [spots[word].pop(0) if spots.get(word) else None for word in words]
    matched = [j for j in to if j is not None]
    if not matched:
        return 0.0
    chunks = sum(
        j is not None and (i == 0 or to[i - 1] is None or to[i - 1] + 1 != j)
        for i, j in enumerate(to)
    )
    p, r = len(matched) / len(words), len(matched) / len(other)
    return 10 * p * r / (r + 9 * p) * (1 - 0.5 * (chunks / len(matched)) ** 3)


def test_meteor_lite_equals_a_slow_transcription(examples):
    ours = meteor_lite(*examples).per_example
    theirs = [max(slow_meteor(c, r) for r in some) for c, some in zip(*examples, strict=True)]
    assert np.abs(ours.numpy() - theirs).max() < 1e-14


def test_meteor_lite_by_hand():
    scores = [meteor_lite([" ".join(order)], [["a b c"]]).score for order in permutations("abc")]
    assert scores[0] == pytest.approx(1 - 0.5 / 27)  # one chunk of three words
    assert scores[-1] == pytest.approx(0.5)  # c b a: three chunks


# Edit distance


def test_error_rates_equal_torchmetrics(examples):
    candidates, first = examples.candidates, [some[0] for some in examples.references]
    for ours, peer, tokenizer in (
        (error_rate, word_error_rate, "words"),
        (error_rate, char_error_rate, list),
    ):
        found = ours(candidates, first, tokenizer)
        theirs = [peer(*pair) for pair in zip(candidates, first, strict=True)]
        torch.testing.assert_close(found.per_example.float(), torch.stack(theirs))
        assert found.score == pytest.approx(peer(candidates, first).item(), rel=1e-5)


def test_error_rate_by_hand():
    found = error_rate(["kitten", "", "a"], ["sitting", "ab", "a"], "char")
    assert found.per_example.tolist() == pytest.approx([3 / 7, 1, 0])
    assert found.score == pytest.approx(5 / 10)
    assert error_rate(["", "a"], ["", ""]).per_example.tolist() == [0, math.inf]


# All of them


@pytest.mark.parametrize("score", [bleu, rouge_l, cider, cider_d, plain_cider_d, meteor_lite])
def test_edges(score):
    references = [["a b c d e", "a b c d e"], ["红 色 圆 形"], ["one"], ["x y z w"]]
    found = score(["", "红 色 圆 形", "one", "not there"], references)
    assert found.per_example.isfinite().all()
    assert found.per_example[0] == found.per_example[3] == 0
    assert found.per_example[1] > 0
    assert score([""], [["a"]]).score == 0


@pytest.mark.parametrize("score", [bleu, rouge_l, cider, cider_d, plain_cider_d, meteor_lite])
def test_order_of_examples_and_of_references_does_not_matter(score, examples):
    some = slice(0, 200)
    candidates, references = examples.candidates[some], examples.references[some]
    forward = score(candidates, references).per_example
    backward = score(candidates[::-1], [r[::-1] for r in references[::-1]]).per_example
    torch.testing.assert_close(forward, backward.flip(0), rtol=0, atol=1e-12)


@pytest.mark.parametrize("score", [bleu, rouge_l, cider_d, plain_cider_d, meteor_lite])
def test_wrong_arguments_are_named(score):
    with pytest.raises(TypeError, match=r"references.0. must be a list, each element a string"):
        score(["a b"], ["a b"])
    with pytest.raises(TypeError, match="a list, each element a string"):
        score("a b", [["a b"]])
    with pytest.raises(ValueError, match="got 1 and 2"):
        score(["a b"], [["a b"], ["a b"]])
    with pytest.raises(ValueError, match="must be not empty, got 0"):
        score([], [])
    with pytest.raises(ValueError, match=r"references.1. must hold at least one text"):
        score(["a", "b"], [["a"], []])
    with pytest.raises(ValueError, match=r"tokenizer must be .*, got 'ptb'"):
        score(["a"], [["a"]], tokenizer="ptb")
    with pytest.raises(TypeError, match="got None"):
        score([None], [["a"]])


def test_unknown_options_are_named():
    with pytest.raises(ValueError, match=r"smoothing must be .*, got 'laplace'"):
        bleu(["a"], [["a"]], smoothing="laplace")
    with pytest.raises(ValueError, match="'parts' or 'whole'"):
        rouge_l(["a"], [["a"]], best="mean")


def test_distinct():
    assert distinct(["a b", "a b"], 1) == 0.5
    assert distinct(["a b a b"], 2) == pytest.approx(2 / 3)  # ab ba ab
    assert distinct(["a"], 2) == 0


@pytest.mark.parametrize(
    "call",
    [
        lambda: distinct("the cat sat", 1),
        lambda: error_rate(["a", "b", "c"], "abc"),
        lambda: cider_d(["a b"], [["a b"]], background=["a b", "c d"]),
        lambda: tokenize("a b", "words"),
        lambda: bleu(["a b"], [["a b"]], tokenizer=str.lower),
    ],
    ids=["distinct", "error_rate", "background", "tokenize", "tokenizer"],
)
def test_a_string_is_not_read_letter_by_letter(call):
    with pytest.raises(TypeError, match="list"):
        call()


def test_counts_and_scales_that_make_no_sense():
    for call in (
        lambda: bleu(["a"], [["a"]], orders=0),
        lambda: cider_d(["a"], [["a"]], sigma=0.0),
        lambda: rouge_l(["a"], [["a"]], beta=-1.0),
        lambda: distinct(["a"], 0),
    ):
        with pytest.raises(ValueError, match="must be"):
            call()
