"""What every encoder promises: `Encoded`, its modality and size; padding changes nothing."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from mmtutor import encoders
from mmtutor.encoders import Encoded, encode
from mmtutor.models import Classifier


class Case(NamedTuple):
    """How to make an encoder, one of its examples, and the same with padding."""

    make: Callable[[], nn.Module]
    example: Tensor  # (1, L, ...)
    ragged: bool = False


WORDS = torch.tensor([[3, 4, 5, 6]])
SOUND = 0.3 * torch.randn(1, 4_000, generator=torch.Generator().manual_seed(0))
PICTURE = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
PHOTO = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
CLIP = torch.rand(1, 6, 3, 32, 32, generator=torch.Generator().manual_seed(0))
CASES = {
    "AudioCNN": Case(lambda: encoders.AudioCNN(8, width=4), SOUND, True),
    "AudioTransformer": Case(lambda: encoders.AudioTransformer(8, depth=1, heads=2), SOUND, True),
    "BagOfWords": Case(lambda: encoders.BagOfWords(9, 8), WORDS, True),
    "CellCNN": Case(lambda: encoders.CellCNN(8, width=4), PICTURE),
    "EdgeCNN": Case(lambda: encoders.EdgeCNN(8, width=4), PICTURE),
    "EfficientNetLite0": Case(encoders.EfficientNetLite0, PHOTO),
    "FeatureEncoder": Case(lambda: encoders.FeatureEncoder(8), torch.ones(1, 8)),
    "RecurrentEncoder": Case(lambda: encoders.RecurrentEncoder(9, 8), WORDS, True),
    "SmallCNN": Case(lambda: encoders.SmallCNN(8, width=4), PICTURE),
    "SmallTransformer": Case(lambda: encoders.SmallTransformer(9, 8, heads=2), WORDS, True),
    "VideoCNN": Case(lambda: encoders.VideoCNN(8, width=4), CLIP, True),
    "VideoTransformer": Case(
        lambda: encoders.VideoTransformer(8, width=4, depth=1, heads=2), CLIP, True
    ),
    "VisionTransformer": Case(
        lambda: encoders.VisionTransformer(8, image_size=32, patch=8, heads=2), PICTURE
    ),
    "WordLlama": Case(encoders.WordLlama, WORDS, True),
}


@pytest.fixture(params=CASES)
def case(request) -> Case:
    return CASES[request.param]


@pytest.fixture
def encoder(case) -> nn.Module:
    torch.manual_seed(0)
    return case.make().eval()


def test_every_encoder_is_held_to_it():
    exported = {name: getattr(encoders, name) for name in vars(encoders)}
    found = {
        name
        for name, item in exported.items()
        if inspect.isclass(item) and hasattr(item, "modality")
    }
    assert found | {"FeatureEncoder"} == set(CASES)


def test_it_returns_encoded_tokens_with_a_mask(case, encoder):
    encoded = encode(encoder, {encoder.modality: case.example})
    assert isinstance(encoded, Encoded)
    assert encoded.tokens.shape == (1, encoded.mask.shape[1], encoder.dim)
    assert encoded.tokens.is_floating_point()
    assert encoded.mask.dtype == torch.bool
    assert encoded.mask.all()
    assert encoded.pooled().shape == (1, encoder.dim)


def test_a_batch_without_its_modality_is_an_error_that_names_it(encoder):
    for model in (Classifier(encoder, 2), lambda batch: encode(encoder, batch)):
        with pytest.raises(KeyError, match=f"lacks {encoder.modality}; it has smell"):
            model({"smell": torch.zeros(1)})


def test_an_example_does_not_depend_on_its_neighbours(case, encoder):
    other = case.example.flip(1)
    batch = encoder(torch.cat([case.example, other]))
    alone = encoder(case.example)
    torch.testing.assert_close(batch.tokens[:1], alone.tokens, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.ragged])
@pytest.mark.parametrize("noise", [False, True], ids=["zeros", "noise"])
def test_padding_changes_nothing(name, noise):
    """Whatever stands behind the end, the real tokens, their mean and their gradients are equal."""
    torch.manual_seed(0)
    encoder, example = CASES[name].make().eval(), CASES[name].example
    tail = example[:, : example.shape[1] // 2].flip(1) * noise
    mask = torch.arange(example.shape[1] + tail.shape[1]) < example.shape[1]
    padded = encoder(torch.cat([example, tail], dim=1), mask.unsqueeze(0))
    alone = encoder(example)
    real = alone.tokens.shape[1]
    assert padded.mask.sum() == real
    assert padded.mask[0, :real].all()
    torch.testing.assert_close(padded.tokens[:, :real], alone.tokens, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(padded.pooled(), alone.pooled(), rtol=1e-5, atol=1e-5)
    learned = [p for p in encoder.parameters() if p.requires_grad]
    if learned:
        weights = torch.linspace(-1, 1, encoder.dim)
        ours, theirs = (
            torch.autograd.grad((x.pooled() * weights).sum(), learned) for x in (padded, alone)
        )
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.ragged])
def test_a_row_without_anything_real_pools_to_zeros(name):
    encoder, example = CASES[name].make().eval(), CASES[name].example
    mask = torch.ones(2, example.shape[1], dtype=torch.bool)
    mask[1] = False
    encoded = encoder(torch.cat([example, example]), mask)
    assert not encoded.mask[1].any()
    assert encoded.pooled()[1].abs().sum() == 0
    assert encoded.pooled()[0].abs().sum() > 0
