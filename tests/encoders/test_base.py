import pytest
import torch
from torch import nn

from mmtutor.encoders import Encoded, encode


def test_pooled_is_the_mean_of_real_tokens():
    tokens = torch.tensor([[[1.0, 2.0], [3.0, 6.0], [100.0, float("nan")]]])
    mask = torch.tensor([[True, True, False]])
    assert Encoded(tokens, mask).pooled().tolist() == [[2.0, 4.0]]


def test_pooled_row_without_a_real_token_is_zeros_with_a_finite_gradient():
    tokens = torch.ones(2, 3, 4, requires_grad=True)
    mask = torch.tensor([[True, False, False], [False, False, False]])
    pooled = Encoded(tokens, mask).pooled()
    pooled.sum().backward()
    assert pooled[1].tolist() == [0.0] * 4
    assert tokens.grad.sum().item() == 4.0


class Doubling(nn.Module):
    modality = "audio"

    def forward(self, x, mask=None):
        return Encoded(2 * x.unsqueeze(-1), mask)


def test_encode_takes_its_own_modality_and_mask():
    mask = torch.tensor([[True, False]])
    encoded = encode(Doubling(), {"audio": torch.tensor([[1.0, 5.0]]), "audio_mask": mask})
    assert encoded.pooled().tolist() == [[2.0]]


def test_encode_names_the_missing_modality():
    with pytest.raises(KeyError, match=r"audio.*image"):
        encode(Doubling(), {"image": torch.zeros(1, 3, 2, 2)})
