"""Small models with random weights, and a batch with padding, for all tests of explanations."""

import pytest
import torch
from torch import nn

from mmtutor.encoders import SmallCNN, SmallTransformer
from mmtutor.fusion import FUSIONS
from mmtutor.models import DualEncoder, FusionClassifier, ProjectionHead

DIM, WORDS, CLASSES = 8, 12, 5


@pytest.fixture
def batch():
    """Three pictures of 32 x 32 and texts of 4, 2 and 1 words."""
    torch.manual_seed(1)
    mask = torch.arange(4) < torch.tensor([[4], [2], [1]])
    tokens = torch.randint(2, WORDS, (3, 4)).masked_fill(~mask, 0)
    return {"image": torch.rand(3, 3, 32, 32), "tokens": tokens, "tokens_mask": mask}


@pytest.fixture
def target():
    return torch.tensor([0, 3, 4])


def _encoders():
    return {"image": SmallCNN(DIM, width=8), "tokens": SmallTransformer(WORDS, DIM, 2, 2)}


@pytest.fixture(params=["concat", "cross_attention"])
def model(request):
    torch.manual_seed(0)
    fusion = FUSIONS[request.param]({"image": DIM, "tokens": DIM}, DIM)
    return FusionClassifier(_encoders(), fusion, nn.Linear(DIM, CLASSES)).eval()


@pytest.fixture
def dual():
    torch.manual_seed(0)
    parts = _encoders()
    heads = ProjectionHead(DIM, DIM), ProjectionHead(DIM, DIM)
    return DualEncoder(parts["image"], parts["tokens"], *heads).eval()
