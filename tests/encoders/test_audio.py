"""Audio encoders: padding must not matter, and what they cannot encode they say."""

import pytest
import torch

from mmtutor.encoders import Encoded, encode
from mmtutor.encoders.audio import AudioCNN, AudioTransformer, _normalise_frames

ENCODERS = [
    lambda **options: AudioCNN(dim=16, width=4, **options),
    lambda **options: AudioTransformer(dim=16, depth=2, heads=2, **options),
]
LENGTHS = torch.tensor([4000, 3999, 1713, 400, 0])


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(len(LENGTHS), 4000, generator=generator) * 0.1
    return x, torch.arange(4000) < LENGTHS.unsqueeze(1)


@pytest.mark.parametrize("make", ENCODERS)
@pytest.mark.parametrize("subtract_mean", [False, True])
def test_padded_and_unpadded_are_equal_gradients_included(make, subtract_mean):
    torch.manual_seed(0)
    encoder = make(subtract_mean=subtract_mean).eval()
    x, mask = batch()
    whole = encoder(x, mask)
    for row, length in enumerate(LENGTHS[:-1].tolist()):
        alone = encoder(x[row : row + 1, :length])
        count = alone.tokens.shape[1]
        assert whole.mask[row].sum() == count == alone.mask.sum()
        torch.testing.assert_close(whole.tokens[row, :count], alone.tokens[0], rtol=0, atol=1e-5)
    assert (whole.tokens[~whole.mask] == 0).all()
    assert not whole.mask[-1].any()
    assert (whole.pooled()[-1] == 0).all()
    gradients = []
    for sounds, masks in ((x[2:3], mask[2:3]), (x[2:3, :1713], None)):
        encoder.zero_grad()
        encoder(sounds, masks).pooled().square().sum().backward()
        gradients.append([p.grad.clone() for p in encoder.parameters()])
    for padded, alone in zip(*gradients, strict=True):
        torch.testing.assert_close(padded, alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize("make", ENCODERS)
def test_what_lies_behind_the_end_does_not_matter(make):
    encoder = make().eval()
    x, mask = batch()
    rubbish = x.masked_fill(~mask, 0.7)
    torch.testing.assert_close(
        encoder(x * mask, mask).tokens, encoder(rubbish, mask).tokens, rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("make", ENCODERS)
def test_it_keeps_the_contract_of_an_encoder(make):
    encoder = make()
    x, mask = batch()
    encoded = encode(encoder, {"audio": x, "audio_mask": mask})
    assert isinstance(encoded, Encoded)
    assert encoded.tokens.shape == (*encoded.mask.shape, encoder.dim)
    assert encoder.state_dict().keys() == dict(encoder.named_parameters()).keys()
    with pytest.raises(KeyError, match="the batch lacks audio; it has image"):
        encode(encoder, {"image": x})
    with pytest.raises(ValueError, match="399 samples, shorter than a window of 400"):
        encoder(x[:, :399])


def test_the_transformer_hears_order():
    torch.manual_seed(0)
    encoder = AudioTransformer(dim=16, depth=1, heads=2).eval()
    x = torch.randn(1, 400 + 160 * 31) * torch.linspace(0, 1, 400 + 160 * 31)
    assert (encoder(x).pooled() - encoder(x.flip(1)).pooled()).abs().max() > 1e-2


def test_normalised_frames_have_mean_0_and_variance_1():
    maps = _normalise_frames(torch.randn(2, 3, 4, 5) * 7 + 2)
    assert maps.mean((1, 3)).abs().max() < 1e-5
    torch.testing.assert_close(maps.var((1, 3), correction=0), torch.ones(2, 4), rtol=0, atol=1e-3)
