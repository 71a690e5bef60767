"""Scores of generated text from embeddings: CLIPScore, RefCLIPScore and BERTScore.

Knows vectors. Does not know the model that made them, and a score is worth no more than the model:
always say which one it was.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mmtutor import checks
from mmtutor.encoders import Encoded
from mmtutor.encoders.base import real, wide

WEIGHT = 2.5


class _BertScore(NamedTuple):
    """Precision, recall and F1 of each candidate, (N,) each; cosines, so at most 1."""

    precision: Tensor
    recall: Tensor
    f1: Tensor


def clip_score(image: Tensor, text: Tensor, weight: float = WEIGHT) -> Tensor:
    """CLIPScore (N,) of candidates: weight * max(cos, 0); no reference needed.

    `image` (N, D) and `text` (N, D) are embeddings from one dual encoder; a vector of zeros has
    cosine 0. The weight 2.5 stretches the cosines that CLIP ViT-B/32 gives to about [0, 1] and
    means nothing for another model. Source: Hessel et al. (2021), section 3.
    """
    image, text = _checked(weight, image=(image, "N D"), text=(text, "N D"))
    return weight * F.cosine_similarity(image, text, dim=-1).clamp(min=0)


def ref_clip_score(
    image: Tensor,
    text: Tensor,
    references: Tensor,
    mask: Tensor | None = None,
    weight: float = WEIGHT,
) -> Tensor:
    """RefCLIPScore (N,): harmonic mean of `clip_score` and the best cosine to a reference.

    `references` (N, R, D) embeddings of reference texts; `mask` (N, R) bool, True = real, where
    there are fewer. 0 where either part is 0. Source: Hessel et al. (2021), section 3.
    """
    shapes = {"image": (image, "N D"), "text": (text, "N D"), "references": (references, "N R D")}
    image, text, references = _checked(weight, **shapes)
    cosine = F.cosine_similarity(text.unsqueeze(1), references, dim=-1)  # [N, R]
    mask = real(references, mask)
    if not mask.any(1).all():
        raise ValueError("mask must leave each example a reference, got an example without one")
    cosine = cosine.masked_fill(~mask, 0)
    return _harmonic(clip_score(image, text, weight), cosine.clamp(min=0).amax(1))


def bert_score(
    candidate: Encoded,
    reference: Encoded,
    candidate_weight: Tensor | None = None,
    reference_weight: Tensor | None = None,
    owner: Tensor | None = None,
) -> _BertScore:
    """BERTScore: every token goes to the most similar one of the other sentence.

    Precision is the mean over candidate tokens of the best cosine with a reference token, recall
    the mean over reference tokens; `*_weight` (., L) not negative, such as `idf`, weigh the means.
    Source: Zhang et al. (2020), section 3. The published program rescales by a baseline; this does
    not. Padding is left out of every maximum (the published program counts it as cosine 0, which
    differs where all cosines are negative).

    Args:
        candidate: N sentences. reference: N too, or M with `owner`.
        owner: (M,) int64, which candidate each reference belongs to; the largest
            precision, recall and F1 over a candidate's references count, each by itself.

    Raises:
        ValueError: a sentence without a token, or a candidate without a reference.
    """
    candidate = _sentences(candidate, candidate_weight, "candidate")
    reference = _sentences(reference, reference_weight, "reference")
    candidates, device = len(candidate.mask), candidate.mask.device
    every = torch.arange(candidates, device=device)
    owner = every if owner is None else owner
    checks.shaped(owner=(owner, "M"))
    checks.indices(candidates, owner=owner)
    owner = owner.to(device).long()
    if not torch.equal(owner.unique(), every) or len(owner) != len(reference.mask):
        raise ValueError(
            f"owner must give each reference a candidate and each candidate a reference, "
            f"got {len(reference.mask)} references for {candidates} candidates"
        )
    width = candidate.tokens.shape[2]
    checks.shaped(**{"reference.tokens": (reference.tokens, f"M R {width}")})
    dtype = torch.promote_types(candidate.tokens.dtype, reference.tokens.dtype)
    theirs = F.normalize(reference.tokens.to(dtype), dim=-1)
    ours = F.normalize(candidate.tokens.to(dtype), dim=-1)[owner]
    outside = ~(candidate.mask[owner].unsqueeze(2) & reference.mask.unsqueeze(1))
    cosine = (ours @ theirs.transpose(1, 2)).masked_fill(outside, -torch.inf)  # [M, C, R]
    weight = None if candidate_weight is None else candidate_weight[owner]
    precision = _mean(cosine.amax(2), candidate.mask[owner], weight)
    recall = _mean(cosine.amax(1), reference.mask, reference_weight)
    found = (_best(part, owner, candidates) for part in (precision, recall))
    return _BertScore(*found, _best(_harmonic(precision, recall), owner, candidates))


def idf(ids: Tensor, mask: Tensor, references: Tensor, references_mask: Tensor) -> Tensor:
    """Weights (B, L) float64 of tokens `ids` (B, L): log((M + 1) / (d + 1)).

    d of the M references, `references` (M, R) ids, have the token. Zhang et al. (2020), section 3,
    with the smoothing of their program.
    """
    mask = checks.as_mask(mask=mask)
    references_mask = checks.as_mask(references_mask=references_mask)
    checks.shaped(ids=(ids, "B L"), mask=(mask, "B L"))
    checks.shaped(references=(references, "M R"), references_mask=(references_mask, "M R"))
    checks.indices(None, ids=ids, references=references)
    ids, references = ids.long(), references.long()
    size = int(max(ids.max(), references.max())) + 1
    row = torch.arange(len(references), device=references.device).unsqueeze(1).expand_as(references)
    pairs = (row * size + references)[references_mask].unique()
    having = torch.bincount(pairs % size, minlength=size)
    weight = ((len(references) + 1) / (having.double() + 1)).log()
    return weight[ids].masked_fill(~mask, 0)


def _sentences(sentences: Encoded, weight: Tensor | None, name: str) -> Encoded:
    """Sentences of which each has a token, in float32 at least, checked; so are their weights."""
    checks.instance(Encoded, **{name: sentences})
    tokens = {f"{name}.tokens": sentences.tokens}
    checks.shaped(**{key: (x, "N L D") for key, x in tokens.items()})
    checks.floating(**tokens)
    checks.finite(**tokens)
    mask = real(sentences.tokens, sentences.mask, f"{name}.mask")
    if not mask.any(1).all():
        raise ValueError(f"{name}.mask must leave each sentence a token, got one with no token")
    if weight is not None:
        checks.shaped(**{f"{name}_weight": (weight, "{} {}".format(*mask.shape))})
        checks.within("[0, inf)", **{f"{name}_weight": weight})
    return Encoded(wide(sentences.tokens), mask)


def _mean(best: Tensor, mask: Tensor, weight: Tensor | None) -> Tensor:
    """Weighted mean (M,) of the real tokens' cosines (M, L); the plain one if no weight is left."""
    real = mask.to(best)
    weight = real if weight is None else weight.to(best) * real
    weight = torch.where(weight.sum(1, keepdim=True) > 0, weight, real)
    return (weight * best.masked_fill(~mask, 0)).sum(1) / weight.sum(1)


def _best(values: Tensor, owner: Tensor, candidates: int) -> Tensor:
    """The largest value (N,) of each owner, from (M,)."""
    empty = values.new_full((candidates,), -torch.inf)
    return empty.scatter_reduce_(0, owner, values, "amax")


def _harmonic(one: Tensor, other: Tensor) -> Tensor:
    """2 a b / (a + b), and 0 where the signs differ: it would be no mean of the two."""
    sound = one * other > 0
    return torch.where(sound, 2 * one * other / (one + other).where(sound, 1), 0)


def _checked(weight: float, **shapes: tuple[Tensor, str]) -> list[Tensor]:
    """The tensors, finite and of these shapes, in float32 at least: squares overflow in half."""
    checks.within("(0, inf)", weight=weight)
    checks.shaped(**shapes)
    tensors = {name: tensor for name, (tensor, _) in shapes.items()}
    checks.floating(**tensors)
    checks.finite(**tensors)
    return list(map(wide, tensors.values()))
