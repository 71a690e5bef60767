"""STFT, mel filters and MFCC against torch.stft and librosa; padding must not matter."""

import librosa
import numpy as np
import pytest
import torch

from mmtutor.encoders.spectrogram import (
    LogMel,
    _frame_mask,
    _hz_to_mel,
    _mel_to_hz,
    dct_matrix,
    hann_window,
    mel_filters,
    mfcc,
    stft,
)


def test_hann_window_equals_torch():
    for size in (2, 31, 400):
        torch.testing.assert_close(hann_window(size), torch.hann_window(size), rtol=0, atol=1e-6)


@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize(
    ("shape", "n_fft", "hop", "width"),
    [((2, 1000), 400, 160, 400), ((1, 401), 31, 7, 31), ((64,), 32, 5, 21), ((3, 97), 33, 4, 20)],
)
def test_stft_equals_torch_gradients_included(shape, n_fft, hop, width, center):
    torch.manual_seed(0)
    ours = torch.randn(shape, requires_grad=True)
    theirs = ours.detach().clone().requires_grad_()
    window = hann_window(width)
    found = stft(ours, n_fft, hop, window, center)
    expected = torch.stft(
        theirs, n_fft, hop, width, window, center=center, return_complex=True, pad_mode="reflect"
    )
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    weight = torch.randn(found.shape)
    for x in (found, expected):
        ((x.real + 2 * x.imag) * weight).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=0, atol=1e-4)


def test_parseval_holds_for_every_frame():
    x = torch.randn(2, 300)
    spectrum = stft(x, 60, 20, torch.ones(60))
    twice = torch.full((31, 1), 2.0)
    twice[[0, -1]] = 1.0
    power = (spectrum.abs().square() * twice).sum(1) / 60
    torch.testing.assert_close(power, x.unfold(1, 60, 20).square().sum(-1), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("scale", ["htk", "slaney"])
@pytest.mark.parametrize("unit_area", [True, False])
@pytest.mark.parametrize(
    ("rate", "n_fft", "mels", "low", "high"),
    [(16_000, 400, 40, 0, 8000), (8000, 255, 13, 60, 3700)],
)
def test_mel_filters_equal_librosa(scale, unit_area, rate, n_fft, mels, low, high):
    found = mel_filters(rate, n_fft, mels, low, high, scale, unit_area)
    expected = librosa.filters.mel(
        sr=rate,
        n_fft=n_fft,
        n_mels=mels,
        fmin=low,
        fmax=high,
        htk=scale == "htk",
        norm="slaney" if unit_area else None,
    )
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("scale", ["htk", "slaney"])
def test_mel_and_hz_are_inverse_and_equal_librosa(scale):
    hz = torch.tensor([0.0, 60, 999, 1000, 1001, 4000, 8000], dtype=torch.float64)
    mel = _hz_to_mel(hz, scale)
    expected = librosa.hz_to_mel(hz.numpy(), htk=scale == "htk")
    np.testing.assert_allclose(mel.numpy(), expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(_mel_to_hz(mel, scale), hz)


def test_mfcc_equals_librosa():
    log_mel = torch.randn(3, 20, 40)
    expected = librosa.feature.mfcc(S=log_mel.transpose(1, 2).numpy(), n_mfcc=13)
    found = mfcc(log_mel, 13).transpose(1, 2)
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-5)
    square = dct_matrix(40, 40)
    torch.testing.assert_close(square @ square.T, torch.eye(40), rtol=0, atol=1e-5)


def test_log_mel_equals_librosa_up_to_the_scale_of_the_window():
    x = torch.randn(1, 2000) * 0.1
    layer = LogMel(floor=0.0)
    found, _ = layer(x)
    power = librosa.feature.melspectrogram(
        y=x[0].numpy(), sr=16_000, n_fft=400, hop_length=160, n_mels=40, center=False, norm=None
    )
    expected = np.log10(power / layer.window.sum().item() ** 2).T
    np.testing.assert_allclose(found[0].numpy(), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("subtract_mean", [False, True])
def test_padding_does_not_change_log_mel(subtract_mean):
    torch.manual_seed(0)
    x = torch.randn(3, 1500)
    lengths = torch.tensor([1500, 633, 0])
    mask = torch.arange(1500) < lengths.unsqueeze(1)
    layer = LogMel(subtract_mean=subtract_mean)
    padded, real = layer(x, mask)
    assert real.sum(1).tolist() == [7, 2, 0]
    alone, _ = layer(x[1:2, :633])
    torch.testing.assert_close(padded[1, :2], alone[0], rtol=0, atol=1e-5)
    assert (padded[~real] == 0).all()


def test_subtracting_the_mean_removes_a_gain_and_nothing_else_does():
    x = torch.randn(1, 3000) * 0.1
    with_mean, without = LogMel(), LogMel(subtract_mean=True)
    torch.testing.assert_close(without(x)[0], without(4 * x)[0], rtol=0, atol=1e-3)
    assert (with_mean(x)[0] - with_mean(4 * x)[0]).abs().min() > 1


def test_the_frame_mask_is_true_where_a_whole_frame_is_real():
    mask = torch.arange(12) < torch.tensor([[12], [11], [4], [0]])
    expected = [[True] * 5, [True] * 4 + [False], [True] + [False] * 4, [False] * 5]
    assert _frame_mask(mask, 4, 2).tolist() == expected


def test_errors_say_what_is_wrong():
    with pytest.raises(
        ValueError, match="x is a sound of 399 samples, shorter than a window of 400"
    ):
        LogMel()(torch.zeros(2, 399))
    mask = torch.arange(500) < torch.tensor([[500], [399]])
    with pytest.raises(
        ValueError, match=r"x\[1\] must hold a whole window of 400, got 399 samples"
    ):
        LogMel()(torch.zeros(2, 500), mask)
    with pytest.raises(ValueError, match="window must have at most n_fft=8 samples, got 9"):
        stft(torch.zeros(20), 8, 2, torch.ones(9))
    with pytest.raises(ValueError, match="hop must be a whole number of at least 1, got 0"):
        stft(torch.zeros(20), 8, 0)
    with pytest.raises(ValueError, match="scale must be 'slaney' or 'htk', got 'bark'"):
        mel_filters(16_000, 400, 40, scale="bark")
    with pytest.raises(ValueError, match="0 <= low < high <= 8000"):
        mel_filters(16_000, 400, 40, high=9000)
