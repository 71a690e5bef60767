"""COCO's cut equals that of COCO's program, which runs Java, on all everyday captions."""

import itertools
import random
import shutil

import pytest
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

from mmtutor.evaluation.generation import bleu, cider_d, tokenize

EVERYDAY = """
a the man woman dogs man's isn't don't can't they're he'll I'm we've cannot red t-shirt on in of
2-year-old two 3 10 1,000 3.5 50% $5 #1 3:30 7pm 1990's U.S. Mr. p.m. e.g. and/or 1/2 "stop" (big
left) - -- ... ! & café don’t “sign” gonna hot-dog 22nd TV 24/7 blue, grey. standing? him; with:
"""
HARD = """
No. Inc. A. c. x. approx. ft. in. Ave. AT&T rock'n'roll 'n' [x] --- … ?! @ + = / * ~ naïve C++ a_b
o'clock y'all gotta lemme 'tis 'em end.A ok.then w/ w/o 9/11 4x4 747s non-profit -5 +4 .5 5- 10-20
5' 10" ` `` '' <b> &amp; &quot; € £5 5¢ 20° 🙂 红色 画面。 – — :) ;) tv/vcr black&white vs. St. etc.
"""

pytestmark = pytest.mark.skipif(shutil.which("java") is None, reason="COCO's program runs Java")


def captions(pieces, n, seed=0):
    words, draw = pieces.split(), random.Random(seed)
    return [" ".join(draw.choices(words, k=draw.randint(1, 14))) for _ in range(n)]


def java(texts):
    """The tokens that COCO's metrics see; they part "10 1/2", which Java does not, at its space."""
    given = {i: [{"caption": text}] for i, text in enumerate(texts)}
    return [found[0].split() for found in PTBTokenizer().tokenize(given).values()]


def test_everyday_captions_are_cut_as_by_java():
    texts = captions(EVERYDAY, 2_000)
    for text, tokens, theirs in zip(texts, tokenize(texts, "coco"), java(texts), strict=True):
        assert tokens == theirs, text


def test_hard_captions_are_nearly_all_cut_as_by_java(capsys):
    texts = captions(EVERYDAY + HARD, 2_000)
    pairs = zip(tokenize(texts, "coco"), java(texts), strict=True)
    other = sum(tokens != theirs for tokens, theirs in pairs)
    with capsys.disabled():
        print(f"\nof {len(texts)} hard captions, {other} are cut otherwise than by Java")
    assert other <= len(texts) // 100


def test_scores_of_captions_are_those_of_coco_s_program():
    references = [captions(EVERYDAY, 3, seed=i) for i in range(60)]
    candidates = [
        some[0].rsplit(" ", 1)[0] if i % 3 else some[1] for i, some in enumerate(references)
    ]
    cut = iter(java([*candidates, *itertools.chain(*references)]))
    said = {i: [" ".join(next(cut))] for i in range(len(candidates))}
    right = {i: [" ".join(next(cut)) for _ in some] for i, some in enumerate(references)}
    theirs, _ = Cider().compute_score(right, said)
    assert cider_d(candidates, references, "coco").score == pytest.approx(theirs, abs=1e-9)
    theirs, _ = Bleu(4).compute_score(right, said, verbose=0)
    for orders, score in enumerate(theirs, start=1):
        ours = bleu(candidates, references, "coco", smoothing="none", orders=orders)
        assert ours.score == pytest.approx(100 * score, abs=1e-6)
