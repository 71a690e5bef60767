"""The Vision Transformer: a picture cut into patches, and the patches read like words.

Knows patches and their positions; attention is `mmtutor.encoders.transformer`. Knows nothing of
text, of pretraining or of losses.
"""

import torch
from torch import Tensor, nn

from mmtutor import checks
from mmtutor.encoders.base import Encoded, check_pictures, real
from mmtutor.encoders.transformer import TransformerEncoder


class VisionTransformer(nn.Module):
    """Patches through one linear layer, plus learned positions, through a Transformer encoder.

    Dosovitskiy et al. (2021), section 3.1, without the class token: whoever wants one vector takes
    the mean of the tokens. Equal to torchvision's `VisionTransformer` up to that token.

    Args:
        dim: size D of a token.
        image_size: side S of the pictures in pixels.
        patch: side of a patch in pixels; divides `image_size`. N = (S / patch) ** 2 tokens.
        depth: number of blocks.
        heads: attention heads; must divide `dim`.
        positions: False leaves the positions out; the encoder then cannot know where a patch was.
        dropout: probability of dropping a coordinate of each block's two branches.
    """

    modality = "image"

    def __init__(
        self,
        dim: int,
        image_size: int = 28,
        patch: int = 7,
        depth: int = 2,
        heads: int = 4,
        positions: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        checks.at_least(1, image_size=image_size, patch=patch)
        if image_size % patch:
            raise ValueError(f"patch must divide image_size = {image_size}, got {patch}")
        self.dim, self.image_size, self.patch = dim, image_size, patch
        self.embedding = nn.Conv2d(3, dim, kernel_size=patch, stride=patch)
        count = (image_size // patch) ** 2
        # As large as what a patch holds, so that a short training need not make them grow first.
        self.position = nn.Parameter(torch.randn(count, dim) * 0.5) if positions else None
        self.transformer = TransformerEncoder(dim, depth, heads, dropout)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Encoded:
        """(B, 3, S, S) in [0, 1] -> tokens (B, N, D), row by row.

        `mask` (B, N) bool is True for patches that may be seen; the others change nothing and come
        out as zeros. Raises ValueError for pictures or masks of another shape.
        """
        tokens = self.embed(x)
        mask = real(tokens, mask)
        return Encoded(self.transformer(tokens, mask), mask)

    def embed(self, x: Tensor) -> Tensor:
        """The tokens before any attention: (B, 3, S, S) -> (B, N, D)."""
        checks.shaped(image=(x, f"B 3 {self.image_size} {self.image_size}"))
        check_pictures(x)
        tokens = self.embedding(2 * x - 1).flatten(2).transpose(1, 2)  # [B, D, h, w] -> [B, N, D]
        return tokens if self.position is None else tokens + self.position


def patches(x: Tensor, patch: int) -> Tensor:
    """Cut pictures into squares, row by row: (B, C, H, W) -> (B, N, C, patch, patch).

    Raises ValueError unless `patch` divides both sides.
    """
    checks.shaped(x=(x, "B C H W"))
    checks.at_least(1, patch=patch)
    if x.shape[2] % patch or x.shape[3] % patch:
        raise ValueError(f"patch must divide the sides {tuple(x.shape[2:])} of x, got {patch}")
    cut = x.unflatten(3, (-1, patch)).unflatten(2, (-1, patch))  # [B, C, h, p, w, p]
    return cut.permute(0, 2, 4, 1, 3, 5).flatten(1, 2)


def rearrange_patches(x: Tensor, patch: int, order: Tensor) -> Tensor:
    """Pictures (B, C, H, W) whose i-th patch is the old patch `order[i]`; `order` int64 (N,)."""
    squares = patches(x, patch)
    rows = x.shape[2] // patch
    checks.shaped(order=(order, str(squares.shape[1])))
    checks.indices(squares.shape[1], order=order)
    cut = squares[:, order].unflatten(1, (rows, -1))  # [B, h, w, C, p, p]
    return cut.permute(0, 3, 1, 4, 2, 5).reshape(x.shape)
