import pytest
import torch

from mmtutor.encoders import FeatureEncoder, SmallTransformer
from mmtutor.models import Classifier


def test_logits_are_linear_in_the_pooled_tokens():
    model = Classifier(FeatureEncoder(2), 3)
    x = torch.randn(4, 2)
    expected = x @ model.head[1].weight.T + model.head[1].bias
    torch.testing.assert_close(model({"image_features": x}).logits, expected)


def test_padding_does_not_change_the_logits():
    torch.manual_seed(0)
    model = Classifier(SmallTransformer(9, 8), 2).eval()
    alone = model({"tokens": torch.tensor([[3, 4]])}).logits
    mask = torch.tensor([[True, True, False]])
    padded = model({"tokens": torch.tensor([[3, 4, 7]]), "tokens_mask": mask}).logits
    torch.testing.assert_close(padded, alone)


def test_bad_input_is_named():
    with pytest.raises(KeyError, match=r"lacks image_features; it has label"):
        Classifier(FeatureEncoder(2), 2)({"label": torch.zeros(1)})
    with pytest.raises(ValueError, match="classes must be a whole number of at least 2, got 1"):
        Classifier(FeatureEncoder(2), 1)
