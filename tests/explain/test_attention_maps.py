"""Weights as they were used, rollout by hand, and maps in the right place."""

import pytest
import torch
from torch import nn

from mmtutor.encoders import SmallCNN, SmallTransformer, VisionTransformer
from mmtutor.explain.attention_maps import attention, image_attention, image_rollout, rollout
from mmtutor.fusion import FUSIONS
from mmtutor.models import Classifier, FusionClassifier


@pytest.fixture
def looking():
    torch.manual_seed(0)
    encoders = {"image": SmallCNN(8, 8), "tokens": SmallTransformer(12, 8, 2, 2)}
    fusion = FUSIONS["cross_attention"]({"image": 8, "tokens": 8}, 8)
    return FusionClassifier(encoders, fusion, nn.Linear(8, 3)).eval()


def test_weights_in_the_order_of_computation(looking, batch):
    looked = attention(looking, batch)
    assert [(call.name.split(".")[0], tuple(call.weights.shape)) for call in looked] == [
        ("encoders", (3, 2, 4, 4)),
        ("encoders", (3, 2, 4, 4)),
        ("fusion", (3, 4, 4, 4)),  # 4 places look at 4 words
        ("fusion", (3, 4, 4, 4)),  # 4 words look at 4 places
    ]
    ones = torch.ones(3, 2, 4)
    torch.testing.assert_close(looked[0].weights.sum(-1), ones)
    assert not looked[0].weights[1, :, :, 2:].any()  # padding is not looked at
    within = attention(looking, batch, looking.encoders["tokens"])
    assert [call.name for call in within] == [call.name for call in looked[:2]]
    encoder = looking.encoders["tokens"]
    expected = encoder.transformer.attention(encoder.embed(batch["tokens"]), batch["tokens_mask"])
    for call, weights in zip(within, expected, strict=True):
        torch.testing.assert_close(call.weights, weights.detach())
    assert not any(part._forward_pre_hooks for part in looking.modules())


def test_rollout_by_hand():
    """Each of two layers swaps two tokens in attention, and keeps half of them as they are."""
    swap = torch.tensor([[0.0, 1], [1, 0]]).expand(1, 3, -1, -1)
    stay = torch.eye(2).expand(1, 1, -1, -1)
    torch.testing.assert_close(rollout([stay, stay]), torch.eye(2)[None])
    torch.testing.assert_close(rollout([swap]), torch.full((1, 2, 2), 0.5))
    first = torch.tensor([[1.0, 0], [1, 0]]).expand(1, 1, -1, -1)
    by_hand = torch.tensor([[[0.75, 0.25], [0.75, 0.25]]])  # swap' @ first'
    torch.testing.assert_close(rollout([first, swap]), by_hand)


def test_rollout_rows_sum_to_1_with_padding(looking, batch):
    layers = [c.weights for c in attention(looking, batch, looking.encoders["tokens"])]
    torch.testing.assert_close(rollout(layers).sum(-1), torch.ones(3, 4))


def test_the_words_look_where_their_keys_are(looking, batch):
    """Keys that only the lower right place has: all attention goes there."""
    attend = looking.fusion.block.attention
    with torch.no_grad():
        attend.query.weight.zero_()
        attend.query.bias.fill_(1)
        attend.key_value.weight[:8] = torch.eye(8) * 50

    class Corner(nn.Module):
        modality, dim = "image", 8

        def forward(self, x, mask=None):
            code = looking_cnn(x)
            tokens = torch.zeros_like(code.tokens)
            tokens[:, 3] = torch.tensor([1.0, -1]).repeat(4)
            return code._replace(tokens=tokens)

    looking_cnn = looking.encoders["image"]
    looking.encoders["image"] = Corner()
    with torch.no_grad():
        looking.fusion.project[0].weight.copy_(torch.eye(8))
        looking.fusion.project[0].bias.zero_()
        looking.fusion.block.norm_context.bias.copy_(torch.zeros(8))
        attend.key_value.weight[:8] = (torch.tensor([1.0, 0]).repeat(4) * 9).expand(8, -1)
    maps = image_attention(looking, batch)
    assert maps.shape == (3, 32, 32)
    assert maps[:, -1, -1].gt(0.99).all()
    assert maps[:, 0, 0].lt(0.01).all()


def test_rollout_of_a_vision_transformer():
    torch.manual_seed(0)
    model = Classifier(VisionTransformer(8, image_size=32, patch=8), 3)
    maps = image_rollout(model, {"image": torch.rand(2, 3, 32, 32)})
    assert maps.shape == (2, 32, 32)
    assert maps.mean() == pytest.approx(1 / 16, rel=0.05)


def test_errors_say_what_is_wrong(dual, batch):
    with pytest.raises(ValueError, match="no attention layer"):
        attention(dual, batch, dual.image_encoder)
    with pytest.raises(ValueError, match="needs a CrossAttention fusion"):
        image_attention(dual, batch)
    with pytest.raises(ValueError, match="rollout needs self-attention"):
        rollout([torch.rand(1, 2, 3, 4)])
    with pytest.raises(ValueError, match="rollout needs self-attention"):
        rollout([])
