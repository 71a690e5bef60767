"""Two small audio encoders, trained from scratch: a CNN and a Transformer over log-mel frames.

Know waveforms, and which of their samples are real; know nothing of files, words or losses. Both
begin with the same `LogMel`, and both give the same tokens whether or not a sound was padded.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmtutor import checks
from mmtutor.encoders.base import Encoded
from mmtutor.encoders.spectrogram import LogMel
from mmtutor.encoders.transformer import TransformerEncoder, sinusoidal_positions

CENTRE, SPREAD = -5.0, 1.5  # typical mean and deviation of a log-mel that kept its mean


class AudioCNN(nn.Module):
    """Reads the spectrogram as a picture: 3 x 3 convolutions that halve bands and frames.

    Frames behind the end of a sound are set to zero before every convolution, as the convolution's
    own padding is. Normalisation is within one frame, so that neither other sounds of the batch nor
    padding can touch it, as they would with batch normalisation.

    Args:
        dim: size D of a token.
        width: channels of the first convolution, twice that in the second.
        mels: bands M of the spectrogram.
        subtract_mean: see `LogMel`.
    """

    modality = "audio"

    def __init__(
        self, dim: int = 64, width: int = 16, mels: int = 40, subtract_mean: bool = False
    ) -> None:
        super().__init__()
        checks.at_least(1, dim=dim, width=width)
        self.dim = dim
        self.spectrogram = LogMel(mels=mels, subtract_mean=subtract_mean)
        channels = [1, width, 2 * width, 2 * width]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, 3, stride=2, padding=1) for before, after in pairwise(channels)
        )
        self.out = nn.Linear(2 * width * -(-mels // 8), dim)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Encoded:
        """(B, T) in [-1, 1] and mask (B, T) bool -> tokens (B, N, D), one for eight frames.

        Raises ValueError for a sound that is shorter than one window.
        """
        frames, mask = _scaled(self.spectrogram, x, mask)
        # [B, 1, N, M], channels stored last, so that `_normalise_frames` need not copy
        maps = frames.unsqueeze(1).to(memory_format=torch.channels_last)
        for convolution in self.convolutions:
            maps, mask = convolution(maps), mask[:, ::2]  # output i is centred at input 2 i
            maps = F.relu(_normalise_frames(maps)).masked_fill(~mask[:, None, :, None], 0)
        tokens = F.relu(self.out(maps.transpose(1, 2).flatten(2)))  # [B, C, N, M] -> [B, N, D]
        return Encoded(tokens.masked_fill(~mask.unsqueeze(-1), 0), mask)


class AudioTransformer(nn.Module):
    """Reads groups of frames as words: each becomes a vector, knows its place, and attends.

    Args:
        dim: size D of a token.
        depth: number of blocks.
        heads: attention heads; must divide `dim`.
        patch: frames in a group; the last group of a sound is filled with zeros.
        mels: bands M of the spectrogram.
        dropout: probability of dropping a coordinate of each block's two branches.
        subtract_mean: see `LogMel`.
    """

    modality = "audio"

    def __init__(
        self,
        dim: int = 64,
        depth: int = 2,
        heads: int = 4,
        patch: int = 4,
        mels: int = 40,
        dropout: float = 0.0,
        subtract_mean: bool = False,
    ) -> None:
        super().__init__()
        checks.at_least(1, patch=patch)
        self.dim, self.patch = dim, patch
        self.spectrogram = LogMel(mels=mels, subtract_mean=subtract_mean)
        self.embedding = nn.Linear(patch * mels, dim)
        self.transformer = TransformerEncoder(dim, depth, heads, dropout)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Encoded:
        """(B, T) in [-1, 1] and mask (B, T) bool -> tokens (B, N, D), one for `patch` frames.

        Raises ValueError for a sound that is shorter than one window.
        """
        frames, mask = _scaled(self.spectrogram, x, mask)
        spare = -frames.shape[1] % self.patch
        frames = F.pad(frames, (0, 0, 0, spare))
        groups = frames.unflatten(1, (-1, self.patch)).flatten(2)  # [B, N, patch * M]
        mask = F.pad(mask, (0, spare)).unflatten(1, (-1, self.patch)).any(dim=2)
        place = sinusoidal_positions(groups.shape[1], self.dim).to(groups)
        hidden = self.embedding(groups) + place
        return Encoded(self.transformer(hidden, mask), mask)


def _scaled(spectrogram: LogMel, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Log-mel frames at a scale that suits a network, (B, N, M) with their mask; padding is 0."""
    frames, mask = spectrogram(x, mask)
    if not spectrogram.subtract_mean:
        frames = (frames - CENTRE).masked_fill(~mask.unsqueeze(-1), 0)
    return frames / SPREAD, mask


def _normalise_frames(maps: Tensor) -> Tensor:
    """Mean 0 and variance 1 over channels and bands, within each frame: (B, C, N, M) -> same."""
    frames = maps.permute(0, 2, 3, 1)  # [B, N, M, C]: no copy where channels are stored last
    return F.layer_norm(frames, frames.shape[2:]).permute(0, 3, 1, 2)
