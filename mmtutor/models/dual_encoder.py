"""The dual encoder: an image tower and a text tower that meet in one vector space.

Knows how two encoders and two heads are composed; knows nothing of losses, of training or of what
is retrieved.
"""

from typing import NamedTuple

from torch import Tensor, nn

from mmtutor import checks
from mmtutor.encoders.base import encode, wide


class DualEncoderOutput(NamedTuple):
    """Paired embeddings, each row of unit length: `image` (B, D) and `text` (B, D)."""

    image: Tensor
    text: Tensor


class ProjectionHead(nn.Module):
    """From a tower's features to the shared space: linear, or two layers with a GELU between.

    Args:
        in_dim: size of the tower's pooled features.
        out_dim: size of the shared space.
        hidden: size of the middle layer; None makes the head linear.
        dropout: probability of dropping an input (and a hidden) coordinate.
    """

    def __init__(
        self, in_dim: int, out_dim: int, hidden: int | None = None, dropout: float = 0.0
    ) -> None:
        super().__init__()
        checks.at_least(1, in_dim=in_dim, out_dim=out_dim)
        if hidden is None:
            layers = [nn.Dropout(dropout), nn.Linear(in_dim, out_dim)]
        else:
            checks.at_least(1, hidden=hidden)
            first, last = nn.Linear(in_dim, hidden), nn.Linear(hidden, out_dim)
            layers = [nn.Dropout(dropout), first, nn.GELU(), nn.Dropout(dropout), last]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_dim) -> (B, out_dim)."""
        return self.layers(x)


class DualEncoder(nn.Module):
    """Two towers trained to agree (CLIP, Radford et al. 2021, section 2.3).

    Args:
        image_encoder, text_encoder: encoders with `modality`, `dim` and an `Encoded` output.
        image_head, text_head: modules from each encoder's `dim` to the shared size D.
    """

    def __init__(
        self,
        image_encoder: nn.Module,
        text_encoder: nn.Module,
        image_head: nn.Module,
        text_head: nn.Module,
    ) -> None:
        super().__init__()
        self.image_encoder = image_encoder
        self.text_encoder = text_encoder
        self.image_head = image_head
        self.text_head = text_head

    def forward(self, batch: dict[str, Tensor]) -> DualEncoderOutput:
        """Embed both sides of `batch`; row i of each is one pair."""
        return DualEncoderOutput(self.encode_image(batch), self.encode_text(batch))

    def encode_image(self, batch: dict[str, Tensor]) -> Tensor:
        """Unit-length image embeddings (B, D); only the image's keys are needed."""
        return l2_normalize(self.image_head(encode(self.image_encoder, batch).pooled()))

    def encode_text(self, batch: dict[str, Tensor]) -> Tensor:
        """Unit-length text embeddings (B, D); only the text's keys are needed."""
        return l2_normalize(self.text_head(encode(self.text_encoder, batch).pooled()))


def l2_normalize(x: Tensor) -> Tensor:
    """Scale rows to length 1, in float32 at least; a row of zeros stays zeros."""
    x = wide(x)
    length = x.norm(dim=-1, keepdim=True)
    return x / length.masked_fill(length == 0, 1)
