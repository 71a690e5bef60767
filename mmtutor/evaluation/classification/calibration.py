"""Whether a model that says "80 % sure" is right 80 % of the time.

Knows confidences and whether they were justified, probabilities and labels. Does not know what
was classified. Everything is computed in float64 on the CPU. Bins are open below and closed above,
(a, b], as in Guo et al. (2017) and scikit-learn; torchmetrics closes them below, which differs only
for a confidence that lies exactly on an edge.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple, get_args

import torch
from scipy.optimize import brentq
from torch import Tensor

from mmtutor import checks
from mmtutor.evaluation.classification.scores import check_logits, number, weighted_sums
from mmtutor.evaluation.statistics.bootstrap import BLOCK, Interval, percentile_interval

Scheme = Literal["width", "mass"]

LOWEST, HIGHEST = 0.01, 100.0  # temperatures that `temperature` looks at


class _Reliability(NamedTuple):
    """The table behind a reliability diagram, one row a bin; NaN where a bin is empty.

    Attributes:
        low, high: (bins,) the edges; a bin holds confidences in (low, high].
        count: (bins,) float64, how many examples, or what they weigh.
        confidence: (bins,) their mean confidence.
        accuracy: (bins,) their share of right answers.

    With many sets of weights the last three are (R, bins).
    """

    low: Tensor
    high: Tensor
    count: Tensor
    confidence: Tensor
    accuracy: Tensor


def top_label(logits: Tensor, label: Tensor, temperature: float = 1.0) -> tuple[Tensor, Tensor]:
    """How sure a classifier is of its first choice (N,) float64, and whether it is right (N,) bool.

    `logits` (N, C) floating point and `label` (N,) int64 in [0, C); the confidence is the largest
    softmax probability after division by `temperature`, which changes no answer.
    """
    check_logits(logits, label)
    checks.within("(0, inf)", temperature=temperature)
    probability = (logits.detach().cpu().double() / temperature).softmax(1)
    confidence, predicted = probability.max(1)
    return confidence, predicted == label.cpu()


def reliability(
    confidence: Tensor,
    correct: Tensor,
    bins: int = 15,
    scheme: Scheme = "width",
    weights: Tensor | None = None,
) -> _Reliability:
    """Mean confidence and accuracy in bins of confidence.

    `confidence` (N,) in [0, 1] and `correct` (N,) bool, or 0 and 1. The bins have equal width, or,
    with scheme "mass", as nearly equally many examples as ties allow (equal confidences share a
    bin; the edges are scikit-learn's quantiles). `weights` (N,) or (R, N) say how often each
    example counts; they move no edge.

    Source: Murphy and Winkler (1977); Guo et al. (2017), section 2.
    Raises ValueError for empty or wrongly shaped input, confidences outside [0, 1], and bins < 1.
    """
    checks.one_of(get_args(Scheme), scheme=scheme)
    correct = checks.as_mask(correct=correct)
    checks.shaped(confidence=(confidence, "N"), correct=(correct, "N"))
    confidence, correct = _checked(confidence, bins), correct.cpu().double()
    edges = _edges(confidence, bins, scheme)
    index = torch.bucketize(confidence, edges[1:-1])  # [N]
    count = weighted_sums(index, bins, weights)
    sure, right = (weighted_sums(index, bins, weights, x) / count for x in (confidence, correct))
    return _Reliability(edges[:-1], edges[1:], count, sure, right)


def expected_calibration_error(
    confidence: Tensor, correct: Tensor, bins: int = 15, weights: Tensor | None = None
) -> float | Tensor:
    """Mean over examples of |accuracy - confidence| of their bin (ECE), in [0, 1]; 0 is best.

    In bins of equal width. Arguments and errors as in `reliability`; (R,) of many sets of weights.
    Two warnings. It depends
    on the bins. And it is biased upwards: a model that is calibrated perfectly has an ECE above 0
    on finitely many examples, because accuracies scatter; `calibration_floor` says how far above.

    Source: Naeini, Cooper and Hauskrecht (2015); Guo et al. (2017), eq. 3.
    """
    table = reliability(confidence, correct, bins, weights=weights)
    gap = (table.accuracy - table.confidence).abs().nan_to_num(0.0)
    return number((gap * table.count).sum(-1) / table.count.sum(-1))


def squared_calibration_error(
    confidence: Tensor,
    correct: Tensor,
    bins: int = 15,
    scheme: Scheme = "mass",
    debias: bool = True,
    weights: Tensor | None = None,
) -> float | Tensor:
    """Mean over examples of (accuracy - confidence)^2 of their bin, with its bias taken out.

    Of each bin's square, accuracy (1 - accuracy) / (count - 1) is subtracted, which is what the
    scatter of its accuracy adds on average. So a calibrated model gets 0 on average, and may
    get a little less. Bins of one example cannot be corrected and are left out.
    Arguments and errors as in `reliability`; also ValueError if no bin has two examples.

    Source: Kumar, Liang and Ma (2019), definition 4.1; Bröcker (2012).
    """
    _, _, count, sure, right = reliability(confidence, correct, bins, scheme, weights)
    square = (right - sure) ** 2
    if debias:
        square = square - right * (1 - right) / (count - 1)
    count = count * (count > (1 if debias else 0))
    if not count.any():
        raise ValueError("no bin holds two examples, so the bias cannot be estimated: fewer bins")
    return number((square.where(count > 0, 0) * count).sum(-1) / count.sum(-1))


def calibration_floor(confidence: Tensor, bins: int = 15, resamples: int = 1000) -> Interval:
    """The ECE that a perfectly calibrated model with these confidences gets: mean, 2.5 and 97.5 %.

    Right answers are drawn with the probability that `confidence` (N,) promises. An ECE above
    `high` is evidence of miscalibration; one below is none (consistency resampling).

    Source: Bröcker and Smith (2007). Errors as in `reliability`.
    """
    checks.at_least(1, resamples=resamples)
    confidence = _checked(confidence, bins)
    index = torch.bucketize(confidence, _edges(confidence, bins, "width")[1:-1])
    generator = torch.Generator().manual_seed(0)
    errors, rows = [], max(1, BLOCK // len(confidence))
    for start in range(0, resamples, rows):
        shape = min(rows, resamples - start), len(confidence)
        right = (torch.rand(shape, generator=generator, dtype=torch.float64) < confidence).double()
        blank = torch.zeros(shape[0], bins, dtype=torch.float64)
        surplus = blank.scatter_add_(1, index.expand(shape), right - confidence)
        errors.append(surplus.abs().sum(1) / len(confidence))
    found = torch.cat(errors)
    return percentile_interval(torch.cat([found.mean()[None], found]))


def temperature(logits: Tensor, label: Tensor) -> float:
    """The T > 0 for which softmax(logits / T) has the lowest negative log-likelihood.

    Choose it on validation data and divide the test logits by it: above 1 the model was too sure.
    Answers and their ranking for one example never change. The loss is convex in 1 / T, so its
    derivative has one root, which scipy finds. Where the best T lies outside [0.01, 100] (every
    answer right, or none better than guessing) that bound is returned.

    Source: Guo et al. (2017), section 4.2. Raises ValueError for wrong shapes or no examples.
    """
    check_logits(logits, label)
    logits = logits.detach().cpu().double()
    right = logits.gather(1, label.cpu()[:, None]).mean()

    def derivative(log_t: float) -> float:
        """Derivative of the loss by 1 / T: the mean logit expected, less the right one's."""
        probability = (logits / math.exp(log_t)).softmax(1)
        # a class that is ruled out, with logit -inf and probability 0, adds nothing
        expected = (probability * logits.masked_fill(probability == 0, 0)).sum(1).mean()
        return (expected - right).item()

    low, high = math.log(LOWEST), math.log(HIGHEST)
    if derivative(high) >= 0:
        return HIGHEST
    if derivative(low) <= 0:
        return LOWEST
    return math.exp(brentq(derivative, low, high))


def _edges(confidence: Tensor, bins: int, scheme: str) -> Tensor:
    """(bins + 1,) edges; with scheme "mass" inner ones are confidences that occur."""
    inner = torch.arange(bins + 1, dtype=torch.float64) / bins
    if scheme == "mass":
        last = len(confidence) - 1
        inner[1:-1] = confidence.sort().values[torch.arange(1, bins) * last // bins]
    return inner


def _checked(confidence: Tensor, bins: int) -> Tensor:
    """`confidence` (N,) as float64 on the CPU."""
    checks.shaped(confidence=(confidence, "N"))
    checks.within("[0, 1]", confidence=confidence)
    checks.at_least(1, bins=bins)
    return confidence.detach().cpu().double()
