import pytest
import torch
from torch import nn

from mmtutor.encoders import BagOfWords, SmallTransformer


def test_padding_never_changes_a_result():
    torch.manual_seed(0)
    encoder = SmallTransformer(20, 16, depth=2, heads=4, max_length=9)
    short = torch.tensor([[3, 4, 5]])
    padded = torch.tensor([[3, 4, 5, 0, 0, 17]])
    mask = torch.tensor([[True, True, True, False, False, False]])
    alone, among = encoder(short), encoder(padded, mask)
    torch.testing.assert_close(among.tokens[:, :3], alone.tokens)
    torch.testing.assert_close(among.pooled(), alone.pooled())
    assert among.tokens[:, 3:].abs().sum() == 0


def test_row_of_padding_alone_pools_to_zeros():
    encoder = SmallTransformer(20, 16)
    encoded = encoder(torch.zeros(1, 4, dtype=torch.long), torch.zeros(1, 4, dtype=torch.bool))
    encoded.pooled().sum().backward()
    assert encoded.pooled().tolist() == [[0.0] * 16]
    assert all(torch.isfinite(p.grad).all() for p in encoder.parameters())


def test_word_order_matters():
    torch.manual_seed(0)
    encoder = SmallTransformer(20, 16)
    nn.init.normal_(encoder.position)
    one, other = encoder(torch.tensor([[2, 3, 4]])).pooled(), encoder(torch.tensor([[4, 3, 2]]))
    assert (one - other.pooled()).abs().max() > 1e-3


def test_bad_input_is_named():
    encoder = SmallTransformer(20, 16, max_length=4)
    with pytest.raises(ValueError, match=r"5 tokens.*max_length is 4"):
        encoder(torch.ones(1, 5, dtype=torch.long))
    with pytest.raises(ValueError, match=r"tokens must be whole numbers in \[0, 20\), got 20"):
        encoder(torch.tensor([[1, 20]]))
    with pytest.raises(ValueError, match="heads must divide dim = 10, got 4"):
        SmallTransformer(20, 10, heads=4)


def test_without_positions_order_cannot_matter():
    torch.manual_seed(0)
    encoder = SmallTransformer(20, 16, positions="none").eval()
    x = torch.tensor([[2, 3, 4, 9, 9]])
    permuted = x[:, [4, 2, 0, 3, 1]]
    torch.testing.assert_close(encoder(x).tokens[:, [4, 2, 0, 3, 1]], encoder(permuted).tokens)
    torch.testing.assert_close(encoder(x).pooled(), encoder(permuted).pooled())


@pytest.mark.parametrize(
    ("positions", "trained"), [("sinusoidal", 0), ("none", 0), ("rotary", 0), ("learned", 1)]
)
def test_only_learned_positions_are_trained_and_saved(positions, trained):
    encoder = SmallTransformer(20, 16, positions=positions)
    names = dict(encoder.named_parameters())
    assert ("position" in names) == bool(trained) == ("position" in encoder.state_dict())
    assert (encoder.embed(torch.tensor([[3, 3]])).diff(dim=1).abs().sum() > 0) == (
        positions in ("sinusoidal", "learned")
    )


def test_rotary_positions_tell_orders_apart_and_ignore_padding():
    torch.manual_seed(0)
    encoder = SmallTransformer(20, 16, positions="rotary").eval()
    nn.init.normal_(encoder.embedding.weight)
    one, other = (encoder(torch.tensor([ids])).pooled() for ids in ([2, 3, 4], [4, 3, 2]))
    assert (one - other).abs().max() > 1e-3
    mask = torch.tensor([[True] * 3 + [False] * 2])
    torch.testing.assert_close(encoder(torch.tensor([[2, 3, 4, 9, 0]]), mask).pooled(), one)


def test_unknown_positions_are_answered_with_those_there_are():
    with pytest.raises(
        ValueError, match="must be 'learned', 'sinusoidal', 'rotary' or 'none', got 'relative'"
    ):
        SmallTransformer(20, 16, positions="relative")


def test_the_bag_equals_torchs_embedding_bag_with_gradients():
    torch.manual_seed(0)
    ours, theirs = BagOfWords(20, 6), nn.EmbeddingBag(20, 6, mode="mean", padding_idx=0)
    theirs.load_state_dict({"weight": ours.embedding.weight})
    x = torch.tensor([[3, 4, 4, 0], [7, 0, 0, 0], [0, 0, 0, 0]])
    pooled, expected = ours(x, x != 0).pooled(), theirs(x)
    torch.testing.assert_close(pooled, expected)
    weight = torch.linspace(-1, 1, 18).view(3, 6)
    (pooled * weight).sum().backward()
    (expected * weight).sum().backward()
    torch.testing.assert_close(ours.embedding.weight.grad, theirs.weight.grad)
    used = ours.embedding.weight.grad.abs().sum(1).nonzero().squeeze(1)
    assert used.tolist() == [3, 4, 7]


def test_lookup_is_a_product_with_a_one_hot_matrix_with_gradients():
    torch.manual_seed(0)
    table, ids = nn.Embedding(9, 4), torch.tensor([[2, 5, 2], [0, 8, 1]])
    weight = table.weight.detach().clone().requires_grad_()
    product = nn.functional.one_hot(ids, 9).float() @ weight
    torch.testing.assert_close(table(ids), product)
    factor = torch.randn(2, 3, 4)
    (table(ids) * factor).sum().backward()
    (product * factor).sum().backward()
    torch.testing.assert_close(table.weight.grad, weight.grad)


@pytest.mark.parametrize("make", [BagOfWords, SmallTransformer])
def test_an_id_without_an_embedding_is_named(make):
    with pytest.raises(ValueError, match=r"tokens must be whole numbers in \[0, 20\), got 20"):
        make(20, 16)(torch.tensor([[1, 20]]))
