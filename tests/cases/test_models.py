"""Small inputs on which public encoders, attacks and explanations of other projects went wrong."""

from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from mmtutor.encoders.image import SmallCNN
from mmtutor.encoders.recurrent import LastToken, RecurrentEncoder
from mmtutor.encoders.spectrogram import LogMel, mfcc
from mmtutor.encoders.transformer import MultiHeadAttention
from mmtutor.evaluation.robustness import fgsm, pgd
from mmtutor.explain.coalitions import CoalitionGame
from mmtutor.explain.shapley import kernel_shap
from mmtutor.fusion import MultiHeadCrossAttention
from tests.cases.outcome import outcome


def test_attention_in_half_precision():
    torch.manual_seed(0)
    ours, theirs = MultiHeadAttention(64, 1), nn.MultiheadAttention(64, 1, batch_first=True)
    pairs = (
        (theirs.in_proj_weight, ours.qkv.weight),
        (theirs.in_proj_bias, ours.qkv.bias),
        (theirs.out_proj.weight, ours.out.weight),
        (theirs.out_proj.bias, ours.out.bias),
    )
    real = torch.ones(1, 5, dtype=torch.bool)
    with torch.no_grad():
        for target, source in pairs:
            target.copy_(source)
        x = (torch.randn(1, 5, 64) * 300).half()
        got, right = ours.half()(x, real), theirs.half()(x, x, x)[0]
        cross = MultiHeadCrossAttention(64, 1).half()(x, x, real)
    assert cross.isfinite().all()
    assert right.isfinite().all()
    assert got.isfinite().all()


def test_the_last_token_of_a_text_padded_on_the_left():
    torch.manual_seed(0)
    encoder = LastToken(RecurrentEncoder(10, 4)).eval()
    mask = torch.tensor([[False, False, True, True]])
    with torch.no_grad():
        right = encoder(torch.tensor([[3, 4]])).tokens
        refused, got = outcome(lambda: encoder(torch.tensor([[0, 0, 3, 4]]), mask).tokens)
    assert refused or torch.allclose(got, right)


def test_the_frames_of_a_sound_padded_on_the_left():
    mask = torch.cat([torch.zeros(1, 800), torch.ones(1, 800)], 1).bool()
    torch.manual_seed(0)
    refused, got = outcome(lambda: LogMel()(torch.randn(1, 1600), mask)[1])
    assert refused or got[0, 0].item() is False


def test_more_cepstral_coefficients_than_bands():
    assert outcome(lambda: mfcc(torch.randn(3, 40), 50).shape)[0]


def test_a_sound_of_16_bit_integers():
    torch.manual_seed(0)
    sound = torch.randn(1, 800) * 0.3
    right = LogMel()(sound)[0].mean()
    refused, got = outcome(lambda: LogMel()((sound * 32767).short())[0].mean())
    assert refused or abs(got - right) < 0.1


def test_pictures_that_were_not_scaled():
    torch.manual_seed(0)
    model = SmallCNN(8).eval()
    with torch.no_grad():
        assert outcome(lambda: model(torch.rand(2, 3, 32, 32) * 255))[0]


class Logits(NamedTuple):
    logits: Tensor


class Linear(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(12, 2)

    def forward(self, batch):
        return Logits(self.linear(batch["image"].flatten(1)))


@pytest.mark.parametrize("attack", [fgsm, pgd])
def test_an_attack_on_normalised_pictures(attack):
    torch.manual_seed(0)
    batch = {"image": torch.randn(8, 3, 2, 2), "label": torch.randint(2, (8,))}
    refused, got = outcome(lambda: attack(Linear(), batch, 8 / 255)["image"])
    assert refused or (got - batch["image"]).abs().max() <= 8 / 255 + 1e-6


def test_kernel_shap_of_few_samples():
    worth = torch.arange(12.0)
    game = CoalitionGame(
        lambda present: present.double() @ worth.double(),
        ("a",) * 12,
        torch.ones(1, 12, dtype=torch.bool),
    )
    refused, got = outcome(lambda: kernel_shap(game, samples=12))
    assert refused or torch.allclose(got[0], worth, atol=1e-3)
