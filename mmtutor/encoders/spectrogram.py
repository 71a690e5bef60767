"""From a waveform to what the ear keeps: windows, STFT, mel filters, log-mel, MFCC.

Knows signal processing on tensors, and which frames of a padded batch are real. Knows nothing of
files, of networks or of what a sound means. Only the transform of one frame is the library's
(`torch.fft.rfft`, which is a product with the matrix of the DFT, made fast).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmtutor import checks
from mmtutor.encoders.base import real, wide

SLANEY_BREAK, SLANEY_STEP = 1000.0, 200 / 3  # Hz: linear up to the break, 200/3 Hz a mel
SLANEY_LOG = math.log(6.4) / 27  # above it, each 27 mels multiply the frequency by 6.4


def hann_window(size: int) -> Tensor:
    """The periodic Hann window (size,) float32: sin^2(pi n / size)."""
    checks.at_least(1, size=size)
    n = torch.arange(size, dtype=torch.float64)
    return torch.sin(math.pi * n / size).square().float()


def _frames(x: Tensor, size: int, hop: int) -> Tensor:
    """Cut (..., T) into overlapping frames (..., N, size), N = 1 + (T - size) // hop.

    Only whole frames are cut, so that no frame holds anything but the sound.

    Raises:
        ValueError: the sound is shorter than one frame, or `hop` is below 1.
    """
    checks.at_least(1, hop=hop)
    if x.shape[-1] < size:
        raise ValueError(f"x is a sound of {x.shape[-1]} samples, shorter than a window of {size}")
    return x.unfold(-1, size, hop)


def stft(
    x: Tensor, n_fft: int, hop: int, window: Tensor | None = None, center: bool = False
) -> Tensor:
    """Short-time Fourier transform, complex (..., n_fft // 2 + 1, N); equals `torch.stft`.

    Args:
        x: (T,) or (B, T) floating point; half precision is transformed in float32.
        n_fft: length of a frame in samples.
        hop: samples from one frame to the next.
        window: (W,), W <= n_fft, padded to n_fft on both sides; `hann_window(n_fft)` if None.
        center: mirror the sound at its ends so that frame i is centred at sample i * hop. Without
            it frame i begins there, and a frame never reaches beyond the sound.

    Raises:
        ValueError: a sound shorter than a frame, or a window longer than one.
    """
    checks.shaped(x=(x, "T | B T"), window=(window, "W | None"))
    checks.floating(x=x, window=window)
    checks.at_least(1, n_fft=n_fft)
    x = wide(x)
    window = (hann_window(n_fft) if window is None else window).to(x)
    spare = n_fft - len(window)
    if spare < 0:
        raise ValueError(f"window must have at most n_fft={n_fft} samples, got {len(window)}")
    window = F.pad(window, (spare // 2, spare - spare // 2))
    if center:
        half = n_fft // 2
        if x.shape[-1] <= half:
            raise ValueError(f"x must have over n_fft / 2 = {half} samples, got {x.shape[-1]}")
        x = F.pad(x.unsqueeze(0), (half, half), mode="reflect").squeeze(0)
    return torch.fft.rfft(_frames(x, n_fft, hop) * window).transpose(-1, -2)


def _hz_to_mel(hz: Tensor, scale: str = "slaney") -> Tensor:
    """Frequency in Hz -> mel. "htk": 2595 log10(1 + f / 700). "slaney": linear, then logarithmic.

    Source: Young et al., The HTK Book; Slaney, Auditory Toolbox (1998), as librosa has them.
    """
    if scale == "htk":
        return 2595 * torch.log10(1 + hz / 700)
    above = SLANEY_BREAK / SLANEY_STEP + torch.log(hz.clamp(min=1e-9) / SLANEY_BREAK) / SLANEY_LOG
    return torch.where(hz < SLANEY_BREAK, hz / SLANEY_STEP, above)


def _mel_to_hz(mel: Tensor, scale: str = "slaney") -> Tensor:
    """The inverse of `_hz_to_mel`."""
    if scale == "htk":
        return 700 * (10 ** (mel / 2595) - 1)
    above = SLANEY_BREAK * torch.exp(SLANEY_LOG * (mel - SLANEY_BREAK / SLANEY_STEP))
    return torch.where(mel * SLANEY_STEP < SLANEY_BREAK, mel * SLANEY_STEP, above)


def mel_filters(
    rate: int,
    n_fft: int,
    mels: int,
    low: float = 0.0,
    high: float | None = None,
    scale: str = "slaney",
    unit_area: bool = True,
) -> Tensor:
    """Overlapping triangles, evenly spaced in mel, as (mels, n_fft // 2 + 1) float32.

    Args:
        rate: samples a second; the bins of the STFT lie at multiples of rate / n_fft Hz.
        low, high: in Hz, where the first triangle begins and the last ends; `high` is half the
            rate if None.
        scale: "slaney" or "htk".
        unit_area: divide each triangle by half its width in Hz, so that wide ones are not louder.

    Raises:
        ValueError: an unknown scale, bounds outside 0 <= low < high <= rate / 2, or a triangle so
            narrow that it lies between two bins and would hear nothing.
    """
    checks.at_least(1, rate=rate, n_fft=n_fft, mels=mels)
    checks.one_of(("slaney", "htk"), scale=scale)
    high = rate / 2 if high is None else high
    checks.within("[0, inf)", low=low, high=high)
    if not low < high <= rate / 2:
        raise ValueError(f"low and high must be 0 <= low < high <= {rate / 2}, got {low}, {high}")
    ends = _hz_to_mel(torch.tensor([low, high], dtype=torch.float64), scale)
    points = torch.linspace(ends[0].item(), ends[1].item(), mels + 2, dtype=torch.float64)
    corner = _mel_to_hz(points, scale).unsqueeze(1)  # [mels + 2, 1]
    hz = torch.arange(n_fft // 2 + 1, dtype=torch.float64) * rate / n_fft
    rising = (hz - corner[:-2]) / (corner[1:-1] - corner[:-2])
    falling = (corner[2:] - hz) / (corner[2:] - corner[1:-1])
    triangles = torch.minimum(rising, falling).clamp(min=0)
    if empty := int((triangles.sum(dim=1) == 0).sum()):
        raise ValueError(f"mels is {mels}: {empty} bands hold no bin of n_fft={n_fft}; take fewer")
    if unit_area:
        triangles = 2 * triangles / (corner[2:] - corner[:-2])
    return triangles.float()


def dct_matrix(count: int, size: int) -> Tensor:
    """The first `count` rows of the orthonormal DCT-II of length `size`: (count, size) float32.

    Raises ValueError for more rows than the DCT has.
    """
    checks.at_least(1, count=count, size=size)
    if count > size:
        raise ValueError(f"count must be at most the {size} bands of the log-mel, got {count}")
    k, n = torch.arange(count, dtype=torch.float64), torch.arange(size, dtype=torch.float64)
    rows = torch.cos(math.pi / size * (n + 0.5) * k.unsqueeze(1)) * math.sqrt(2 / size)
    rows[0] /= math.sqrt(2)
    return rows.float()


def mfcc(log_mel: Tensor, count: int = 13) -> Tensor:
    """Mel-frequency cepstral coefficients: (..., M) log-mel -> (..., count), an orthonormal DCT.

    Source: Davis and Mermelstein (1980), section II-A.
    """
    checks.shaped(log_mel=(log_mel, "... M"))
    checks.floating(log_mel=log_mel)
    return log_mel @ dct_matrix(count, log_mel.shape[-1]).to(log_mel).T


def _frame_mask(mask: Tensor, size: int, hop: int) -> Tensor:
    """Which frames are real: (B, T) bool -> (B, N), True where all samples of the frame are.

    A row without any real sample has no sound, and no frame.

    Raises:
        ValueError: a row has a sound, but no whole frame (looked at on a CPU only, for a GPU would
            have to be waited for).
    """
    before = F.pad(mask.cumsum(dim=1, dtype=torch.int32), (1, 0))  # real samples before each place
    whole = before[:, size::hop] - before[:, : before.shape[1] - size : hop] == size  # [B, N]
    length = before[:, -1]
    short = (length > 0) & ~whole.any(dim=1)
    if mask.device.type == "cpu" and short.any():
        row = int(short.nonzero()[0])
        raise ValueError(f"x[{row}] must hold a whole window of {size}, got {length[row]} samples")
    return whole


class LogMel(nn.Module):
    """Waveforms to log-mel frames that padding does not change; has nothing to learn.

    Args:
        rate: samples a second.
        n_fft, hop: window and step in samples. The sound is not extended at its ends.
        mels: number M of bands, from 0 Hz to half the rate.
        floor: mean power below which all is equally silent.
        subtract_mean: take each band's mean over the sound away. A gain or a microphone multiplies
            every frame's spectrum by the same factors, which adds a constant to the logarithm: it
            is gone, up to the floor (cepstral mean normalisation, Atal 1974).
    """

    def __init__(
        self,
        rate: int = 16_000,
        n_fft: int = 400,
        hop: int = 160,
        mels: int = 40,
        floor: float = 1e-8,
        subtract_mean: bool = False,
    ) -> None:
        super().__init__()
        checks.at_least(1, hop=hop)
        checks.within("[0, inf)", floor=floor)
        self.n_fft, self.hop, self.mels = n_fft, hop, mels
        self.floor, self.subtract_mean = floor, subtract_mean
        self.register_buffer("window", hann_window(n_fft), persistent=False)
        filters = mel_filters(rate, n_fft, mels, unit_area=False)
        self.register_buffer("filters", filters, persistent=False)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(B, T) in [-1, 1] and mask (B, T) -> log10 power (B, N, M), and (B, N) which are real.

        Power is that of the windowed frame; what is not real is zero. A row masked out entirely
        has no real frame. Raises ValueError for a sound that is shorter than one window, and
        TypeError for whole numbers, as 16-bit files hold them: divide those by 32768.
        """
        checks.shaped(x=(x, "B T"))
        checks.floating(x=x)
        spectrum = stft(x, self.n_fft, self.hop, self.window)  # [B, bins, N]
        frames = spectrum.transpose(1, 2)
        mask = real(frames) if mask is None else _frame_mask(real(x, mask), self.n_fft, self.hop)
        power = spectrum.real.square() + spectrum.imag.square()
        power = (self.filters.to(power) @ power).transpose(1, 2) / self.window.sum().square()
        logs = torch.log10(power + self.floor)  # [B, N, M]
        keep = mask.unsqueeze(-1)
        if self.subtract_mean:
            count = mask.sum(dim=1).clamp(min=1)[:, None, None]
            logs = logs - logs.masked_fill(~keep, 0).sum(dim=1, keepdim=True) / count
        return logs.masked_fill(~keep, 0).to(x.dtype), mask
