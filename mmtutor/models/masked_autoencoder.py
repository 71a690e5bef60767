"""The masked autoencoder: hide most of a picture, read the rest, and draw what was hidden.

Knows which patches are read and which are to be drawn (He et al. 2022). Does not know losses, nor
what the encoder will be good for afterwards.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from mmtutor import checks
from mmtutor.data.batch import require
from mmtutor.encoders import VisionTransformer
from mmtutor.encoders.base import real
from mmtutor.encoders.transformer import TransformerEncoder
from mmtutor.encoders.vision_transformer import patches


class MaskedOutput(NamedTuple):
    """What was drawn, what was there, and what had been hidden.

    Attributes:
        drawn: (B, N, P) floating point: for each patch its P numbers, hidden or not.
        target: (B, N, P) in [0, 1], of the picture itself.
        hidden: (B, N) bool, True where the encoder did not see the patch.
    """

    drawn: Tensor
    target: Tensor
    hidden: Tensor


class MaskedAutoencoder(nn.Module):
    """An encoder that reads the visible patches alone, and a small decoder that draws them all.

    He et al. (2022), section 3. The decoder gets what the encoder made of the visible patches, one
    learned vector in the place of each hidden one, and positions of its own.

    Args:
        encoder: a Vision Transformer with positions; what is kept after pre-training.
        ratio: share of the patches that are hidden, in [0, 1); at least one patch is seen.
        dim, depth, heads: of the decoder.
    """

    def __init__(
        self,
        encoder: VisionTransformer,
        ratio: float = 0.75,
        dim: int = 32,
        depth: int = 1,
        heads: int = 4,
    ) -> None:
        super().__init__()
        checks.instance(VisionTransformer, encoder=encoder)
        checks.within("[0, 1)", ratio=ratio)
        self.encoder, self.ratio = encoder, ratio
        self.count = (encoder.image_size // encoder.patch) ** 2
        self.enter = nn.Linear(encoder.dim, dim)
        self.hole = nn.Parameter(torch.randn(dim) * 0.02)
        self.position = nn.Parameter(torch.randn(self.count, dim) * 0.5)
        self.decoder = TransformerEncoder(dim, depth, heads)
        self.draw = nn.Linear(dim, 3 * encoder.patch**2)

    def forward(self, batch: dict[str, Tensor]) -> MaskedOutput:
        """A batch with `image` (B, 3, S, S) in [0, 1] -> what was drawn of all N patches.

        Which patches are hidden is drawn anew for each picture, with PyTorch's global generator;
        `order` (B, N) int64 in the batch says it instead: its first patches are seen.

        Raises KeyError without an `image`, ValueError for an order of another shape.
        """
        require(batch, "image")
        image = batch["image"]
        order = batch.get("order")
        if order is None:
            order = torch.rand(len(image), self.count, device=image.device).argsort(dim=1)
        checks.shaped(order=(order, f"{len(image)} {self.count}"))
        seen = order[:, : self.visible]  # [B, V]

        tokens = self.encoder.embed(image)  # [B, N, D]
        tokens = tokens.gather(1, _wide(seen, tokens))  # [B, V, D]: only these are encoded
        known = self.enter(self.encoder.transformer(tokens, real(tokens)))

        canvas = self.hole.expand(*order.shape, -1)  # [B, N, d]: holes everywhere,
        canvas = canvas.scatter(1, _wide(seen, known), known)  # but where something is known
        canvas = canvas + self.position
        drawn = self.draw(self.decoder(canvas, real(canvas)))

        hidden = torch.ones_like(order, dtype=torch.bool).scatter(1, seen, False)
        return MaskedOutput(drawn, patches(image, self.encoder.patch).flatten(2), hidden)

    @property
    def visible(self) -> int:
        """V, how many patches of a picture are seen."""
        return max(1, round(self.count * (1 - self.ratio)))


def join_patches(squares: Tensor) -> Tensor:
    """Pictures from their patches, row by row: (B, N, 3 p p) -> (B, 3, S, S), N a square."""
    count = checks.shaped(squares=(squares, "B N P"))
    rows, patch = round(count["N"] ** 0.5), round((count["P"] / 3) ** 0.5)
    if rows**2 != count["N"] or 3 * patch**2 != count["P"]:
        raise ValueError(f"squares must be (B, n n, 3 p p), got {tuple(squares.shape)}")
    cut = squares.unflatten(2, (3, patch, patch)).unflatten(1, (rows, rows))  # [B, h, w, 3, p, p]
    return cut.permute(0, 3, 1, 4, 2, 5).flatten(4).flatten(2, 3)


def _wide(index: Tensor, like: Tensor) -> Tensor:
    """An index (B, V) of rows, for all columns of (B, _, D)."""
    return index.unsqueeze(-1).expand(-1, -1, like.shape[-1])
