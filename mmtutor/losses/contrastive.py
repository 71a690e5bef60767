"""Contrastive losses over a batch of image-text pairs.

Knows embeddings and which pairs belong together; knows nothing of encoders or of optimisation.
Scores are computed in float32 at least, whatever the precision of the embeddings or of autocast:
at a scale of 100 half precision cannot tell close neighbours apart.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmtutor import checks
from mmtutor.encoders.base import wide
from mmtutor.losses.gather import gather_with_grad


def info_nce(
    image: Tensor, text: Tensor, logit_scale: Tensor | float, relevant: Tensor | None = None
) -> Tensor:
    """Symmetric InfoNCE (van den Oord et al. 2018, eq. 4; Radford et al. 2021, fig. 3).

    Row i of `image` and row i of `text` are a pair; all other rows are negatives, but those that
    `relevant` marks. A query with several positives aims at the uniform distribution over them.

    Args:
        image: (B, D) floating point, usually of unit length.
        text: (B, D) likewise.
        logit_scale: positive factor on the inner products, one over the temperature.
        relevant: (B, B) bool, [i, j] = text j also describes image i. The diagonal always counts.

    Returns:
        A scalar, the mean of the two directions; 0 for a batch of one.

    Raises:
        ValueError: the shapes do not fit.
    """
    logits = _pairwise_logits(image, text, logit_scale)
    positive = _positives(logits, relevant).to(logits.dtype)
    return (_cross_entropy(logits, positive) + _cross_entropy(logits.T, positive.T)) / 2


def sigmoid_contrastive(
    image: Tensor,
    text: Tensor,
    logit_scale: Tensor | float,
    bias: Tensor | float,
    relevant: Tensor | None = None,
) -> Tensor:
    """Sigmoid loss (SigLIP, Zhai et al. 2023, eq. 1): every pair is one yes-or-no question.

    Args:
        image: (B, D) floating point, usually of unit length.
        text: (B, D) likewise.
        logit_scale: positive factor on the inner products.
        bias: added to every score; starts far below zero because nearly all pairs are negatives.
        relevant: (B, B) bool, [i, j] = text j also describes image i. The diagonal always counts.

    Returns:
        A scalar: the sum over all B * B pairs, divided by B.

    Raises:
        ValueError: the shapes do not fit.
    """
    _check_number("(-inf, inf)", bias=bias)
    logits = _pairwise_logits(image, text, logit_scale) + bias
    sign = 2 * _positives(logits, relevant).to(logits.dtype) - 1  # +1 a pair, -1 not
    return -F.logsigmoid(sign * logits).sum() / len(logits)


def triplet(
    image: Tensor,
    text: Tensor,
    margin: float = 0.2,
    hardest: bool = True,
    relevant: Tensor | None = None,
) -> Tensor:
    """Triplet loss on inner products (VSE++, Faghri et al. 2018, eq. 5 and 6), both directions.

    A query costs nothing once its pair scores better by `margin` than the negatives of its row.

    Args:
        image: (B, D) floating point, usually of unit length.
        text: (B, D) likewise.
        margin: by how much the pair has to lead, at least 0, in units of the score.
        hardest: count only the best-scored negative of each query; else the mean of all of them.
        relevant: (B, B) bool, [i, j] = text j also describes image i: no negative. The diagonal
            always counts as the pair.

    Returns:
        A scalar, the mean of the two directions; 0 where there are no negatives.

    Raises:
        ValueError: the shapes do not fit.
    """
    score = _pairwise_logits(image, text, 1.0)
    negative = ~_positives(score, relevant)
    both = ((score, negative), (score.T, negative.T))
    one, other = (hinge(*each, margin, hardest) for each in both)
    return (one + other) / 2


def hinge(score: Tensor, negative: Tensor, margin: float, hardest: bool) -> Tensor:
    """Cost of the rows of (B, B) scores whose diagonal does not lead the negatives by `margin`."""
    checks.shaped(score=(score, "B B"), negative=(negative, "B B"))
    checks.floating(score=score)
    checks.within("[0, inf)", margin=margin)
    negative = checks.as_mask(negative=negative)
    cost = (margin + score - score.diagonal()[:, None]).clamp(min=0)  # [B, B]
    cost = cost.masked_fill(~negative, 0)
    if hardest:
        return cost.amax(dim=1).mean()
    return cost.sum() / negative.sum().clamp(min=1)


def _pairwise_logits(image: Tensor, text: Tensor, logit_scale: Tensor | float) -> Tensor:
    """Scaled inner products of all pairs: (B, D), (B, D) -> (B, B), in float32 at least."""
    checks.shaped(image=(image, "B D"), text=(text, "B D"))
    checks.floating(image=image, text=text)
    _check_number("(0, inf)", logit_scale=logit_scale)
    with torch.autocast(image.device.type, enabled=False):
        image = wide(image)
        return logit_scale * (image @ text.to(image.dtype).T)


def _check_number(interval: str, **argument: Tensor | float) -> None:
    """A number in the interval, or a tensor of one, which is not looked at."""
    [(name, value)] = argument.items()
    if isinstance(value, Tensor):
        checks.shaped(**{name: (value, " | 1")})
    else:
        checks.within(interval, **argument)


def _positives(logits: Tensor, relevant: Tensor | None) -> Tensor:
    """(B, B) bool: the diagonal, and whatever `relevant` adds to it."""
    diagonal = torch.eye(len(logits), dtype=torch.bool, device=logits.device)
    if relevant is None:
        return diagonal
    relevant = checks.as_mask(relevant=relevant)
    checks.shaped(relevant=(relevant, f"{len(logits)} {len(logits)}"))
    return relevant.to(logits.device) | diagonal


def _cross_entropy(logits: Tensor, positive: Tensor) -> Tensor:
    target = positive / positive.sum(dim=1, keepdim=True)
    return -(target * logits.log_softmax(dim=1)).sum(dim=1).mean()


class ContrastiveObjective(nn.Module):
    """A contrastive loss together with what it learns: log scale and, for the sigmoid, bias.

    Over several processes all embeddings are gathered, so negatives come from the whole batch.

    Args:
        kind: "info_nce" or "sigmoid".
        init_scale: first factor on the inner products; None means the papers' own, 1 / 0.07 for
            InfoNCE (Radford et al. 2021) and 10 for the sigmoid, whose bias starts at -10
            (Zhai et al. 2023).
        max_scale: the learned scale is brought back here when it grows past it, as CLIP's is.

    Raises:
        ValueError: an unknown kind, or a first scale that is not in (0, max_scale].
    """

    def __init__(
        self, kind: str = "info_nce", init_scale: float | None = None, max_scale: float = 100.0
    ) -> None:
        super().__init__()
        checks.one_of(("info_nce", "sigmoid"), kind=kind)
        checks.within("(0, inf)", max_scale=max_scale)
        self.kind = kind
        self.max_scale = max_scale
        if init_scale is None:
            init_scale = min(max_scale, 10.0 if kind == "sigmoid" else 1 / 0.07)
        most = max_scale * (1 + 1e-6)  # the exponential of a logarithm may be a little above
        checks.within(f"(0, {most}]", init_scale=init_scale)
        self.log_scale = nn.Parameter(torch.tensor(math.log(init_scale)))
        self.bias = nn.Parameter(torch.tensor(-10.0)) if kind == "sigmoid" else None

    @property
    def logit_scale(self) -> Tensor:
        """The current factor on the inner products, a positive scalar."""
        return self.log_scale.exp()

    @torch.no_grad()  # a clamp in the graph would stop the parameter's gradient
    def limit_scale(self) -> None:
        """Bring the learned scale back to its limit."""
        self.log_scale.clamp_(max=math.log(self.max_scale))

    def forward(self, output: tuple[Tensor, Tensor], batch: dict[str, Tensor]) -> Tensor:
        """`output` has `.image` and `.text` (B, D); equal `batch["group"]` (B,) are positives."""
        self.limit_scale()
        checks.shaped(image=(output.image, "B D"), text=(output.text, "B D"))
        image, text = gather_with_grad(output.image), gather_with_grad(output.text)
        relevant = None
        if "group" in batch:
            checks.shaped(image=(output.image, "B D"), group=(batch["group"], "B"))
            group = gather_with_grad(batch["group"])
            relevant = group[:, None] == group[None, :]
        if self.kind == "sigmoid":
            return sigmoid_contrastive(image, text, self.logit_scale, self.bias, relevant)
        return info_nce(image, text, self.logit_scale, relevant)
