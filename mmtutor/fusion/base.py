"""What all fusions share: the order of the modalities, absent ones, and one size for all vectors.

Knows `Encoded` tokens by modality. Knows nothing of what a modality is, of heads or of losses.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmtutor.encoders.base import Encoded


class Fusion(nn.Module):
    """Several `Encoded` become one vector; a fusion says how in `fuse`.

    Modalities are taken in the sorted order of their names, whatever order they come in. Padding
    never changes the result. A modality may be absent from an example: `present` says so, or a mask
    without any real token; what a fusion then does, it documents.

    Args:
        dims: the size of a token of each modality, by name.
        out_dim: size of the result.
    """

    def __init__(self, dims: dict[str, int], out_dim: int) -> None:
        super().__init__()
        if not dims or min(*dims.values(), out_dim) < 1:
            raise ValueError(f"dims and out_dim must be positive, got {dims} and {out_dim}")
        self.dims = dict(sorted(dims.items()))
        self.out_dim = out_dim

    def forward(self, encoded: dict[str, Encoded], present: Tensor | None = None) -> Tensor:
        """Fuse a batch.

        Args:
            encoded: for each modality tokens (B, N, D), N and D its own, with their mask (B, N).
            present: (B, M) bool, False where an example lacks a modality; in sorted order.

        Returns:
            (B, out_dim).

        Raises:
            KeyError: a modality is not in `encoded` at all; the message names it.
            ValueError: one too many, or the wrong shape.
        """
        return self.fuse(self._checked(encoded, present))

    def fuse(self, encoded: dict[str, Encoded]) -> Tensor:
        """`forward` after the checks: sorted; padding and what is absent are masked, and zeros."""
        raise NotImplementedError

    def _checked(self, encoded: dict[str, Encoded], present: Tensor | None) -> dict[str, Encoded]:
        for name in self.dims:
            if name not in encoded:
                has = ", ".join(sorted(encoded)) or "nothing"
                raise KeyError(f"fusion of {', '.join(self.dims)} lacks {name}; it got {has}")
        if extra := sorted(encoded.keys() - self.dims.keys()):
            raise ValueError(f"fusion of {', '.join(self.dims)} got {', '.join(extra)} as well")
        batch = len(encoded[next(iter(self.dims))].tokens)
        if present is not None and present.shape != (batch, len(self.dims)):
            raise ValueError(
                f"present is {tuple(present.shape)}: expected {(batch, len(self.dims))}"
            )
        checked = {}
        for m, (name, dim) in enumerate(self.dims.items()):
            tokens, mask = encoded[name]
            if tokens.ndim != 3 or tokens.shape[::2] != (batch, dim):
                raise ValueError(
                    f"{name} is {tuple(tokens.shape)}: expected (B, N, D) = ({batch}, N, {dim})"
                )
            if mask.shape != tokens.shape[:2]:
                raise ValueError(
                    f"the mask of {name} is {tuple(mask.shape)}: expected {tuple(tokens.shape[:2])}"
                )
            if present is not None:
                mask = mask & present[:, m, None]
            checked[name] = Encoded(tokens.masked_fill(~mask.unsqueeze(-1), 0), mask)
        return checked


class Projected(nn.Module):
    """The mean token of each modality, mapped to one size by a linear layer of its own."""

    def __init__(self, dims: dict[str, int], dim: int) -> None:
        super().__init__()
        self.maps = nn.ModuleList(nn.Linear(size, dim) for size in dims.values())

    def forward(self, encoded: dict[str, Encoded]) -> Tensor:
        """(B, M, dim), zeros where a modality is absent."""
        pairs = zip(self.maps, encoded.values(), strict=True)
        vectors = torch.stack([linear(code.pooled()) for linear, code in pairs], dim=1)
        return vectors.masked_fill(~there(encoded).unsqueeze(-1), 0)


def there(encoded: dict[str, Encoded]) -> Tensor:
    """(B, M) bool: which modalities an example has, those with a real token."""
    return torch.stack([code.mask.any(dim=1) for code in encoded.values()], dim=1)


def pooled(encoded: dict[str, Encoded]) -> list[Tensor]:
    """The mean token of each modality, (B, D) each; zeros where it is absent."""
    return [code.pooled() for code in encoded.values()]


def mean_of_present(vectors: Tensor, present: Tensor) -> Tensor:
    """Mean over the modalities that are there: (B, M, ...) and (B, M) bool -> (B, ...).

    A row without any modality gives zeros.
    """
    keep = present.view(*present.shape, *[1] * (vectors.ndim - 2))
    return vectors.masked_fill(~keep, 0).sum(dim=1) / keep.sum(dim=1).clamp(min=1)


def wide(x: Tensor) -> Tensor:
    """In float32 at least: products of half-precision numbers overflow."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def narrow(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Back to `dtype`; what does not fit becomes its largest number."""
    limit = torch.finfo(dtype).max
    return x.clamp(-limit, limit).to(dtype)
