import pytest
import torch
from torch import nn

from mmtutor.encoders import FeatureEncoder
from mmtutor.models import DualEncoder, ProjectionHead
from mmtutor.models.dual_encoder import l2_normalize


@pytest.fixture
def model():
    return DualEncoder(
        FeatureEncoder(2), FeatureEncoder(2, "text_features"), nn.Identity(), nn.Identity()
    )


def test_embeddings_have_unit_length_and_stay_paired(model):
    batch = {
        "image_features": torch.tensor([[3.0, 4.0], [0.0, 2.0]]),
        "text_features": torch.tensor([[5.0, 0.0], [-8.0, 6.0]]),
    }
    output = model(batch)
    torch.testing.assert_close(output.image, torch.tensor([[0.6, 0.8], [0.0, 1.0]]))
    torch.testing.assert_close(output.text, torch.tensor([[1.0, 0.0], [-0.8, 0.6]]))


def test_one_side_needs_only_its_own_modality(model):
    assert model.encode_image({"image_features": torch.ones(1, 2)}).shape == (1, 2)
    with pytest.raises(KeyError, match="text_features"):
        model.encode_text({"image_features": torch.ones(1, 2)})


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_l2_normalize_of_zeros_is_zeros_in_every_precision(dtype):
    x = torch.zeros(1, 3, dtype=dtype, requires_grad=True)
    out = l2_normalize(x)
    out.sum().backward()
    assert out.tolist() == [[0.0, 0.0, 0.0]]
    assert torch.isfinite(x.grad).all()
    assert out.dtype == torch.promote_types(dtype, torch.float32)


def test_heads():
    torch.manual_seed(0)
    linear, deep = ProjectionHead(3, 2), ProjectionHead(3, 2, hidden=8, dropout=0.5).eval()
    x, y = torch.randn(2, 1, 3)
    torch.testing.assert_close(linear(x + y), linear(x) + linear(y) - linear(0 * x))
    assert (deep(x + y) - (deep(x) + deep(y) - deep(0 * x))).abs().max() > 1e-3
    assert deep(x).shape == (1, 2)
