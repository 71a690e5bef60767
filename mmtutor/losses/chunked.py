"""Contrastive losses of large batches: the values of `contrastive`, without the matrix of scores.

The scores of B pairs take memory with the square of B, and several times over. Here a few rows of
them are made at a time and forgotten. InfoNCE makes them again for the gradient, as FlashAttention
does with its scores (Dao et al. 2022, sec. 3.1); the sigmoid needs no other rows for the gradient
of some, and makes it at once. Over several processes each makes the rows of its own images only,
against the texts of all. Scores are computed in float32 at least.

Knows embeddings and which pairs belong together; knows nothing of encoders or of optimisation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from mmtutor import checks
from mmtutor.encoders.base import wide
from mmtutor.losses.contrastive import ContrastiveObjective, _check_number
from mmtutor.losses.gather import gather_with_grad, row_counts

CHUNK = 256


def chunked_info_nce(
    image: Tensor,
    text: Tensor,
    logit_scale: Tensor | float,
    group: Tensor | None = None,
    chunk: int = CHUNK,
) -> Tensor:
    """`info_nce` (van den Oord et al. 2018, eq. 4; Radford et al. 2021, fig. 3) in rows of scores.

    Of the scores only the log-sum-exp of each row and of each column is kept. Over several
    processes each brings its own pairs, any number of them, and gets a share of the loss: the mean
    of the shares is the loss of the whole batch, and averaged gradients are its gradients.

    Args:
        image: (B, D) floating point, usually of unit length.
        text: (B, D) likewise.
        logit_scale: positive factor on the inner products, one over the temperature.
        group: (B,) rows of the same number describe the same, and are each other's positives.
        chunk: rows of scores at a time; takes about 3 * chunk * (B of all processes) numbers.

    Returns:
        A scalar, the mean of the two directions.

    Raises:
        ValueError: the shapes do not fit.
    """
    image, text, scale = _checked(image, text, logit_scale, group, chunk)
    with _full_precision(image):
        counts, rank = row_counts(text)
        texts = gather_with_grad(text, counts)
        rows, columns = _LogSumExp.apply(image, texts, scale, chunk)
        columns = gather_with_grad(columns[None], [1] * len(counts)).logsumexp(0)
        own = columns.split(counts)[rank]
        positive, number = _positives(text, texts, group, counts, rank)
        pairs = scale * _inner(image, positive) / number
        return ((rows + own) / 2 - pairs).sum() * (len(counts) / len(texts))


def chunked_sigmoid_contrastive(
    image: Tensor,
    text: Tensor,
    logit_scale: Tensor | float,
    bias: Tensor | float,
    group: Tensor | None = None,
    chunk: int = CHUNK,
) -> Tensor:
    """`sigmoid_contrastive` (SigLIP, Zhai et al. 2023, eq. 1) in rows of scores.

    -log sigmoid(-z) of a negative is softplus(z), and that of a positive softplus(z) - z: nothing
    of the scores is kept but the sum of softplus and its gradients. Several processes: as for
    `chunked_info_nce`.

    Args:
        image: (B, D) floating point, usually of unit length.
        text: (B, D) likewise.
        logit_scale: positive factor on the inner products.
        bias: added to every score; starts far below zero because nearly all pairs are negatives.
        group: (B,) rows of the same number describe the same, and are each other's positives.
        chunk: rows of scores at a time; takes about 3 * chunk * (B of all processes) numbers.

    Returns:
        A scalar: the sum over all B * B pairs, divided by B.

    Raises:
        ValueError: the shapes do not fit.
    """
    _check_number("(-inf, inf)", bias=bias)
    image, text, scale = _checked(image, text, logit_scale, group, chunk)
    with _full_precision(image):
        bias = _scalar(bias, image)
        counts, rank = row_counts(text)
        texts = gather_with_grad(text, counts)
        total = _SoftplusSum.apply(image, texts, scale, bias, chunk)
        positive, number = _positives(text, texts, group, counts, rank)
        pairs = scale * _inner(image, positive) + bias * number
        return (total - pairs.sum()) * (len(counts) / len(texts))


class ChunkedContrastive(ContrastiveObjective):
    """`ContrastiveObjective` by the losses of this module: the same values, for large batches.

    Over several processes each returns its share of the loss, whose mean is the whole.

    Args:
        kind, init_scale, max_scale: of `ContrastiveObjective`.
        chunk: rows of scores at a time.
    """

    def __init__(
        self,
        kind: str = "info_nce",
        init_scale: float | None = None,
        max_scale: float = 100.0,
        chunk: int = CHUNK,
    ) -> None:
        super().__init__(kind, init_scale, max_scale)
        checks.at_least(1, chunk=chunk)
        self.chunk = chunk

    def forward(self, output: tuple[Tensor, Tensor], batch: dict[str, Tensor]) -> Tensor:
        """`output` has `.image` and `.text` (B, D); equal `batch["group"]` (B,) are positives."""
        self.limit_scale()
        pairs, rest = (output.image, output.text), (batch.get("group"), self.chunk)
        if self.kind == "sigmoid":
            return chunked_sigmoid_contrastive(*pairs, self.logit_scale, self.bias, *rest)
        return chunked_info_nce(*pairs, self.logit_scale, *rest)


def _checked(
    image: Tensor, text: Tensor, scale: Tensor | float, group: Tensor | None, chunk: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Embeddings and scale, in float32 at least."""
    checks.shaped(image=(image, "B D"), text=(text, "B D"), group=(group, "B | None"))
    checks.floating(image=image, text=text)
    _check_number("(0, inf)", logit_scale=scale)
    checks.at_least(1, chunk=chunk)
    image = wide(image)
    return image, text.to(image.dtype), _scalar(scale, image)


def _scalar(value: Tensor | float, like: Tensor) -> Tensor:
    return torch.as_tensor(value, dtype=like.dtype, device=like.device).reshape(())


def _full_precision(x: Tensor) -> torch.autocast:
    return torch.autocast(x.device.type, enabled=False)


def _inner(a: Tensor, b: Tensor) -> Tensor:
    """Inner products of the rows, (n, D), (n, D) -> (n,), without the (n, D) of their products."""
    return torch.einsum("nd,nd->n", a, b)


def _positives(
    text: Tensor, texts: Tensor, group: Tensor | None, counts: list[int], rank: int
) -> tuple[Tensor, Tensor | int]:
    """For each own pair the sum (n, D) of the texts of its group, and how many they are."""
    if group is None:
        return text, 1
    groups = gather_with_grad(group.to(text.device), counts)
    _, index, sizes = groups.unique(return_inverse=True, return_counts=True)
    sums = texts.new_zeros(len(sizes), texts.shape[1]).index_add(0, index, texts)
    own = index.split(counts)[rank]
    return sums[own], sizes[own]


class _LogSumExp(torch.autograd.Function):
    """Scores of (n, D) images and (N, D) texts -> log-sum-exp of their rows and columns."""

    @staticmethod
    def forward(ctx, image: Tensor, text: Tensor, scale: Tensor, chunk: int):
        rows = image.new_empty(len(image))
        columns = image.new_full((len(text),), -torch.inf)
        for some in _chunks(image, chunk):
            score = scale * image[some] @ text.T
            rows[some] = score.logsumexp(1)
            columns = torch.logaddexp(columns, score.logsumexp(0))
        ctx.save_for_backward(image, text, scale, rows, columns)
        ctx.chunk = chunk
        return rows, columns

    @staticmethod
    @once_differentiable
    def backward(ctx, d_rows: Tensor, d_columns: Tensor):
        *inputs, rows, columns = ctx.saved_tensors

        def slope(score: Tensor, some: slice) -> Tensor:  # softmax over the row, over the column
            by_row = (score - rows[some, None]).exp_().mul_(d_rows[some, None])
            return score.sub_(columns).exp_().mul_(d_columns).add_(by_row)

        return *_gradients(*inputs, slope, ctx.chunk), None


class _SoftplusSum(torch.autograd.Function):
    """Sum of softplus(scale * score + bias) over all (n, D) images and (N, D) texts.

    The sum is one number, so its gradients wait for one number: they are made with the scores.
    """

    @staticmethod
    def forward(ctx, image: Tensor, text: Tensor, scale: Tensor, bias: Tensor, chunk: int):
        total, d_bias = image.new_zeros(()), torch.zeros_like(bias)

        def slope(score: Tensor, some: slice) -> Tensor:
            total.add_(F.softplus(score.add_(bias), threshold=40).sum())
            d_bias.add_(score.sigmoid_().sum())
            return score

        if any(ctx.needs_input_grad):
            ctx.save_for_backward(*_gradients(image, text, scale, slope, chunk), d_bias)
        else:
            for some in _chunks(image, chunk):
                slope(scale * image[some] @ text.T, some)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor):
        return *(grad * gradient for gradient in ctx.saved_tensors), None


def _gradients(
    image: Tensor, text: Tensor, scale: Tensor, slope: Callable[[Tensor, slice], Tensor], chunk: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of image, text and scale, where `slope` gives those of some rows of the scores."""
    d_image, d_text = torch.empty_like(image), torch.zeros_like(text)
    for some in _chunks(image, chunk):
        slopes = slope(scale * image[some] @ text.T, some)
        torch.mm(slopes, text, out=d_image[some])
        d_text.addmm_(slopes.T, image[some])
    d_scale = _inner(image, d_image).sum()
    return d_image.mul_(scale), d_text.mul_(scale), d_scale


def _chunks(rows: Tensor, size: int) -> Iterator[slice]:
    return (slice(start, start + size) for start in range(0, len(rows), size))
