"""Weights as they were used, in the order of computation."""

import pytest
import torch
from torch import nn

from mmtutor.encoders import SmallCNN, SmallTransformer
from mmtutor.explain.attention import attention_weights
from mmtutor.fusion import FUSIONS
from mmtutor.models import FusionClassifier


@pytest.fixture
def looking():
    torch.manual_seed(0)
    encoders = {"image": SmallCNN(8, 8), "tokens": SmallTransformer(12, 8, 2, 2)}
    fusion = FUSIONS["cross_attention"]({"image": 8, "tokens": 8}, 8)
    return FusionClassifier(encoders, fusion, nn.Linear(8, 3)).eval()


def test_weights_in_the_order_of_computation(looking, batch):
    looked = attention_weights(looking, batch)
    assert [(call.name.split(".")[0], tuple(call.weights.shape)) for call in looked] == [
        ("encoders", (3, 2, 4, 4)),
        ("encoders", (3, 2, 4, 4)),
        ("fusion", (3, 4, 4, 4)),  # 4 places look at 4 words
        ("fusion", (3, 4, 4, 4)),  # 4 words look at 4 places
    ]
    ones = torch.ones(3, 2, 4)
    torch.testing.assert_close(looked[0].weights.sum(-1), ones)
    assert not looked[0].weights[1, :, :, 2:].any()  # padding is not looked at
    within = attention_weights(looking, batch, looking.encoders["tokens"])
    assert [call.name for call in within] == [call.name for call in looked[:2]]
    encoder = looking.encoders["tokens"]
    expected = encoder.transformer.attention(encoder.embed(batch["tokens"]), batch["tokens_mask"])
    for call, weights in zip(within, expected, strict=True):
        torch.testing.assert_close(call.weights, weights.detach())
    assert not any(part._forward_pre_hooks for part in looking.modules())


def test_errors_say_what_is_wrong(dual, batch):
    with pytest.raises(ValueError, match="no attention layer"):
        attention_weights(dual, batch, dual.image_encoder)
