"""CLIPScore, RefCLIPScore and BERTScore against slow transcriptions and torchmetrics."""

from __future__ import annotations

import math
from collections import Counter
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn
from torchmetrics.functional.text.bert import bert_score as peer

from mmtutor.encoders import Encoded
from mmtutor.evaluation.generation import bert_score, clip_score, idf, ref_clip_score

CASES, WORDS, DIM = 1_000, 40, 6


def sentences(n: int, seed: int, longest: int = 9) -> tuple[Tensor, Tensor]:
    """Ids (n, longest) from 1 and their mask; lengths from 1."""
    generator = torch.Generator().manual_seed(seed)
    length = torch.randint(1, longest + 1, (n, 1), generator=generator)
    mask = torch.arange(longest) < length
    return torch.randint(1, WORDS, (n, longest), generator=generator).masked_fill(~mask, 0), mask


def table(positive: bool = False) -> nn.Embedding:
    """A static vector for every word."""
    torch.manual_seed(0)
    vectors = torch.randn(WORDS + 2, DIM, dtype=torch.float64)
    return nn.Embedding.from_pretrained(vectors.abs() if positive else vectors)


def slow_bert_score(candidate: Tensor, reference: Tensor, weigh=None) -> tuple[float, float, float]:
    """Equations of section 3, word by word."""
    ours, theirs = (x / x.norm(dim=1, keepdim=True) for x in (candidate, reference))
    weights = weigh or ([1.0] * len(ours), [1.0] * len(theirs))
    best = [[max(float(x @ y) for y in theirs) for x in ours]]
    best.append([max(float(x @ y) for x in ours) for y in theirs])
    p, r = (
        sum(w * b for w, b in zip(weight, found, strict=True)) / sum(weight)
        for weight, found in zip(weights, best, strict=True)
    )
    return p, r, 2 * p * r / (p + r) if p + r else 0


def test_bert_score_equals_a_slow_transcription():
    (a, a_mask), (b, b_mask), vectors = sentences(CASES, 0), sentences(CASES, 1), table()
    ours = bert_score(Encoded(vectors(a), a_mask), Encoded(vectors(b), b_mask))
    for i in range(CASES):
        theirs = slow_bert_score(vectors(a[i, a_mask[i]]), vectors(b[i, b_mask[i]]))
        found = [part[i].item() for part in ours]
        assert found[:2] == pytest.approx(theirs[:2], abs=1e-12)
        expected = theirs[2] if theirs[0] * theirs[1] > 0 else 0  # else it may be any number
        assert found[2] == pytest.approx(expected, abs=1e-9)


def test_idf_weights_equal_a_slow_transcription():
    (a, a_mask), (b, b_mask), vectors = sentences(CASES, 2), sentences(CASES, 3), table(True)
    weights = idf(a, a_mask, b, b_mask), idf(b, b_mask, b, b_mask)
    ours = bert_score(Encoded(vectors(a), a_mask), Encoded(vectors(b), b_mask), *weights)
    having = Counter(
        w for words, mask in zip(b, b_mask, strict=True) for w in set(words[mask].tolist())
    )
    for i in range(CASES):
        kept = a[i, a_mask[i]], b[i, b_mask[i]]
        weigh = [
            [math.log((CASES + 1) / (having[w] + 1)) for w in words.tolist()] for words in kept
        ]
        theirs = slow_bert_score(*map(vectors, kept), weigh)
        assert [part[i].item() for part in ours] == pytest.approx(theirs, abs=1e-10)


@pytest.mark.parametrize("weighted", [False, True])
def test_bert_score_equals_torchmetrics(weighted):
    """In pairs of equal length: torchmetrics 1.9 sorts candidates and references by length and puts
    them back by the order, not by its inverse (its issue 2728): others would meet strangers."""
    (b, mask), vectors = sentences(CASES, 4), table(True)
    a, b = (torch.randint_like(b, 1, WORDS).masked_fill(~mask, 0) for _ in range(2))
    weights = (idf(a, mask, b, mask), idf(b, mask, b, mask)) if weighted else ()
    ours = bert_score(Encoded(vectors(a), mask), Encoded(vectors(b), mask), *weights)
    theirs = by_torchmetrics(vectors, (a, mask), (b, mask), weighted)
    order = (mask.sum(1) + 2).argsort()
    for part, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(
            part[order][order], other, rtol=0, atol=1e-6
        )  # its idf is float32


def test_bert_score_equals_torchmetrics_pair_by_pair():
    (a, a_mask), (b, b_mask), vectors = sentences(100, 10), sentences(100, 11), table(True)
    ours = bert_score(Encoded(vectors(a), a_mask), Encoded(vectors(b), b_mask))
    for i in range(100):
        one = slice(i, i + 1)
        theirs = by_torchmetrics(vectors, (a[one], a_mask[one]), (b[one], b_mask[one]))
        assert [part[i].item() for part in ours] == pytest.approx([x.item() for x in theirs])


def by_torchmetrics(vectors, candidates, references, weighted=False) -> list[Tensor]:
    vectors.config = SimpleNamespace(num_hidden_layers=1)
    found = peer(
        *(_framed(*pair) for pair in (candidates, references)),
        model=vectors,
        user_tokenizer=lambda *_: None,
        user_forward_fn=lambda model, batch: model(batch["input_ids"]).clone(),
        idf=weighted,
        batch_size=CASES,
    )
    return [found[name] for name in ("precision", "recall", "f1")]


def _framed(ids: Tensor, mask: Tensor) -> dict[str, Tensor]:
    """torchmetrics takes the first and last token of a sentence for special ones, and drops them"""
    n, length = ids.shape
    start, end = WORDS, WORDS + 1
    framed = torch.zeros(n, length + 2, dtype=torch.int64)
    framed[:, 0], framed[:, 1:-1] = start, ids
    size = mask.sum(1)
    framed[torch.arange(n), size + 1] = end
    return {
        "input_ids": framed,
        "attention_mask": (torch.arange(length + 2) < size[:, None] + 2).long(),
    }


def test_several_references_and_padding():
    (a, a_mask), (b, b_mask), vectors = sentences(30, 6), sentences(90, 7), table()
    owner = torch.arange(30).repeat_interleave(3)
    together = bert_score(Encoded(vectors(a), a_mask), Encoded(vectors(b), b_mask), owner=owner)
    each = bert_score(Encoded(vectors(a)[owner], a_mask[owner]), Encoded(vectors(b), b_mask))
    for part, single in zip(together, each, strict=True):
        torch.testing.assert_close(part, single.view(30, 3).amax(1))
    wider = [nn.functional.pad(x, (0, 0, 0, 4), value=9.0) for x in (vectors(a), vectors(b))]
    masks = [nn.functional.pad(mask, (0, 4)) for mask in (a_mask, b_mask)]
    padded = bert_score(*map(Encoded, wider, masks), owner=owner)
    torch.testing.assert_close(padded, together)


def test_bert_score_of_a_sentence_with_itself_is_one():
    (a, mask), vectors = sentences(20, 8), table()
    same = bert_score(Encoded(vectors(a), mask), Encoded(vectors(a), mask))
    assert all(torch.allclose(part, torch.ones(20).double()) for part in same)


def test_what_bert_score_refuses():
    (a, mask), vectors = sentences(3, 9), table()
    some = Encoded(vectors(a), mask)
    with pytest.raises(ValueError, match="no token"):
        bert_score(some, Encoded(vectors(a), mask & False))
    with pytest.raises(
        ValueError,
        match="owner must give each reference a candidate",
    ):
        bert_score(some, some, owner=torch.tensor([0, 0, 1]))


def test_clip_scores_equal_the_equations():
    torch.manual_seed(0)
    image, text = torch.randn(2, CASES, DIM, dtype=torch.float64)
    references = torch.randn(CASES, 3, DIM, dtype=torch.float64)
    mask = torch.rand(CASES, 3) > 0.3
    mask[:, 0] = True
    clip = clip_score(image, text)
    both = ref_clip_score(image, text, references, mask)

    def cosine(one, other):
        return float(one @ other) / (float(one @ one) * float(other @ other)) ** 0.5

    for i in range(CASES):
        first = 2.5 * max(cosine(text[i], image[i]), 0)
        second = max(0, *(cosine(text[i], r) for r in references[i][mask[i]]))
        mean = 2 * first * second / (first + second) if first + second else 0
        assert (clip[i].item(), both[i].item()) == pytest.approx((first, mean), abs=1e-12)
    assert (both == 0).any()
    assert (both > 0).any()


def test_clip_score_by_hand():
    image = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    text = torch.tensor([[2.0, 0.0], [-1.0, 0.0], [0.0, 0.0]])
    assert clip_score(image, text).tolist() == [2.5, 0, 0]
    assert ref_clip_score(image, text, text[:, None]).tolist() == pytest.approx(
        [2 * 2.5 / 3.5, 0, 0]
    )
    with pytest.raises(ValueError, match=r"text must be \(N, D\) with N = 3, .* \(1, 2\)"):
        clip_score(image, text[:1])


def test_masks_of_0_and_1_and_half_precision():
    (ids, mask), (b, b_mask), vectors = sentences(5, 12), sentences(5, 13), table()
    assert torch.equal(idf(ids, mask.long(), b, b_mask.int()), idf(ids, mask, b, b_mask))
    some, other = Encoded(vectors(ids), mask), Encoded(vectors(b), b_mask)
    whole = Encoded(some.tokens, mask.long())
    torch.testing.assert_close(bert_score(whole, other), bert_score(some, other))
    big = torch.full((1, 512), 100.0).half()  # its square's sum is beyond half precision
    assert clip_score(big, big).tolist() == pytest.approx([2.5])
    with pytest.raises(ValueError, match="image must be finite"):
        clip_score(torch.full((1, 2), torch.nan), torch.ones(1, 2))
    with pytest.raises(ValueError, match="mask must leave each example a reference"):
        ref_clip_score(
            torch.ones(1, 2), torch.ones(1, 2), torch.ones(1, 3, 2), torch.zeros(1, 3).bool()
        )
