"""What every encoder returns, and how an encoder is applied to a batch.

Knows the one contract between a modality and everything after it: a sequence of tokens with a mask.
Knows nothing of any particular modality, of training or of losses.
"""

from typing import NamedTuple

from torch import Tensor, nn

from mmtutor.data.batch import require


class Encoded(NamedTuple):
    """A batch of token sequences.

    Attributes:
        tokens: (B, N, D) floating point.
        mask: (B, N) bool, True where a token is real and False where it is padding.
    """

    tokens: Tensor
    mask: Tensor

    def pooled(self) -> Tensor:
        """Mean of the real tokens, (B, D); a row without any real token gives zeros."""
        tokens = self.tokens.masked_fill(~self.mask.unsqueeze(-1), 0)
        return tokens.sum(dim=1) / self.mask.sum(dim=1, keepdim=True).clamp(min=1)


def encode(encoder: nn.Module, batch: dict[str, Tensor]) -> Encoded:
    """Apply `encoder` to its own modality of `batch`.

    The encoder names its modality; `batch["<modality>_mask"]` is passed on where there is one.

    Raises:
        KeyError: the batch lacks the modality; the message lists those it has.
    """
    require(batch, encoder.modality)
    return encoder(batch[encoder.modality], batch.get(f"{encoder.modality}_mask"))
