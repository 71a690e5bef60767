import pytest
import torch
from torch import nn

from mmtutor.encoders import FeatureEncoder, SmallCNN, SmallTransformer
from mmtutor.fusion import FUSIONS
from mmtutor.models import FusionClassifier, ProjectionHead


def model(name: str = "sum") -> FusionClassifier:
    encoders = {"image": SmallCNN(8, width=4), "tokens": SmallTransformer(20, 12, 1, 2)}
    head = nn.Identity() if name == "late" else ProjectionHead(8, 3)
    fusion = FUSIONS[name]({"image": 8, "tokens": 12}, 3 if name == "late" else 8)
    return FusionClassifier(encoders, fusion, head).eval()


def batch(length: int = 5) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(1, 20, (2, 5), generator=generator)
    padded = nn.functional.pad(tokens, (0, length - 5))
    return {
        "image": torch.rand(2, 3, 16, 16, generator=generator),
        "tokens": padded,
        "tokens_mask": (torch.arange(length) < 5).expand(2, -1),
    }


@pytest.mark.parametrize("name", sorted(FUSIONS))
def test_real_encoders_any_fusion_and_padding(name):
    torch.manual_seed(0)
    classifier = model(name)
    logits = classifier(batch()).logits
    assert logits.shape == (2, 3)
    torch.testing.assert_close(classifier(batch(9)).logits, logits, rtol=0, atol=1e-5)


def test_it_is_head_of_fusion_of_encoders():
    dims = {"x": 2, "y": 2}
    fusion = FUSIONS["sum"](dims, 2)
    for linear in fusion.project.maps:
        nn.init.eye_(linear.weight)
        nn.init.zeros_(linear.bias)
    encoders = {name: FeatureEncoder(2, name) for name in "yx"}
    classifier = FusionClassifier(encoders, fusion, nn.Identity())
    features = {"x": torch.tensor([[1.0, 2.0]]), "y": torch.tensor([[3.0, -1.0]])}
    assert classifier(features).logits.tolist() == [[4.0, 1.0]]
    features["present"] = torch.tensor([[False, True]])  # x, in sorted order, is absent
    assert classifier(features).logits.tolist() == [[3.0, -1.0]]


def test_a_missing_modality_is_named():
    with pytest.raises(KeyError, match="the batch lacks tokens; it has image"):
        model()({"image": batch()["image"]})


def test_parts_that_do_not_fit_are_refused():
    encoder, fusion = FeatureEncoder(2, "x"), FUSIONS["sum"]({"x": 3}, 4)
    with pytest.raises(ValueError, match="called 'y' is of modality 'x'"):
        FusionClassifier({"y": encoder}, fusion, nn.Identity())
    with pytest.raises(ValueError, match="the encoders give"):
        FusionClassifier({"x": encoder}, fusion, nn.Identity())
