"""What all fusions share: the order of the modalities, absent ones, and one size for all vectors.

Knows `Encoded` tokens by modality. Knows nothing of what a modality is, of heads or of losses.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmtutor import checks
from mmtutor.encoders.base import Encoded, real


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
        checks.instance(dict, dims=dims)
        checks.same_length(dims=dims)
        checks.at_least(1, out_dim=out_dim, **{f"dims[{m!r}]": dim for m, dim in dims.items()})
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
            TypeError, ValueError: one too many, or the wrong shape or type.
        """
        return self.fuse(self._checked(encoded, present))

    def fuse(self, encoded: dict[str, Encoded]) -> Tensor:
        """`forward` after the checks: sorted; padding and what is absent are masked, and zeros."""
        raise NotImplementedError

    def _checked(self, encoded: dict[str, Encoded], present: Tensor | None) -> dict[str, Encoded]:
        checks.instance(dict, encoded=encoded)
        has = ", ".join(sorted(encoded)) or "nothing"
        if absent := [name for name in self.dims if name not in encoded]:
            raise KeyError(f"encoded lacks {', '.join(absent)}; it has {has}")
        if encoded.keys() != self.dims.keys():
            raise ValueError(f"encoded must hold {', '.join(self.dims)} and no more, got {has}")
        named = {f"encoded[{name!r}]": encoded[name] for name in self.dims}
        checks.instance(Encoded, **named)
        tokens = {name: code.tokens for name, code in named.items()}
        sizes = zip(tokens.items(), self.dims.values(), strict=True)
        shapes = {name: (x, f"B N{m}? {dim}") for m, ((name, x), dim) in enumerate(sizes)}
        batch = checks.shaped(**shapes)["B"]
        checks.floating(**tokens)
        masks = []
        for name, code in named.items():
            mask = checks.as_mask(**{f"mask of {name}": code.mask})
            masks.append(real(code.tokens, mask, f"mask of {name}"))
        if present is not None:
            present = checks.as_mask(present=present)
            checks.shaped(present=(present, f"{batch} {len(masks)}"))
            masks = [
                mask & there.unsqueeze(1) for mask, there in zip(masks, present.T, strict=True)
            ]
        return {
            name: Encoded(x.masked_fill(~mask.unsqueeze(-1), 0), mask)
            for name, x, mask in zip(self.dims, tokens.values(), masks, strict=True)
        }


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


def mean_of_present(vectors: Tensor, present: Tensor) -> Tensor:
    """Mean over the modalities that are there: (B, M, ...) and (B, M) bool -> (B, ...).

    A row without any modality gives zeros.
    """
    present = checks.as_mask(present=present)
    checks.shaped(present=(present, "B M"))
    if not isinstance(vectors, Tensor) or vectors.shape[:2] != present.shape:
        checks.shaped(vectors=(vectors, f"{len(present)} {present.shape[1]} D"))
    checks.floating(vectors=vectors)
    keep = present.view(*present.shape, *[1] * (vectors.ndim - 2))
    return vectors.masked_fill(~keep, 0).sum(dim=1) / keep.sum(dim=1).clamp(min=1)
