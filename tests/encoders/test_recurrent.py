"""Recurrent layers against PyTorch's: values, gradients, padding, odd sizes."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from mmtutor.encoders import LastToken, Recurrent, RecurrentEncoder

PEERS = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
CLOSE = {"rtol": 0, "atol": 1e-5}


def weights(ours: nn.ModuleList) -> dict[str, Tensor]:
    """Our forward and backward layer's parameters under PyTorch's names."""
    named = {}
    for layer, suffix in zip(ours, ("", "_reverse"), strict=True):
        for linear, place in ((layer.input, "ih"), (layer.recurrent, "hh")):
            named[f"weight_{place}_l0{suffix}"] = linear.weight
            named[f"bias_{place}_l0{suffix}"] = linear.bias
    return named


def pair_of(cell: str, in_dim: int, dim: int) -> tuple[nn.ModuleList, nn.Module]:
    """Our two directions and PyTorch's bidirectional layer, with the same weights."""
    torch.manual_seed(0)
    ours = nn.ModuleList(Recurrent(in_dim, dim, cell, reverse) for reverse in (False, True))
    theirs = PEERS[cell](in_dim, dim, batch_first=True, bidirectional=True)
    theirs.load_state_dict(weights(ours))
    return ours, theirs


def packed(layer: nn.Module, x: Tensor, lengths: Tensor) -> Tensor:
    sequence = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    return pad_packed_sequence(layer(sequence)[0], batch_first=True, total_length=x.shape[1])[0]


def loss(out: Tensor) -> Tensor:
    return (out * torch.linspace(-1, 1, out.numel()).view_as(out)).sum()


@pytest.mark.parametrize("cell", PEERS)
@pytest.mark.parametrize("lengths", [[7, 3, 1, 5], [1], [1, 1], [9]])
def test_values_and_gradients_equal_torchs_on_packed_sequences(cell, lengths):
    ours, theirs = pair_of(cell, 5, 3)
    lengths = torch.tensor(lengths)
    x = torch.randn(len(lengths), int(lengths.max()), 5, requires_grad=True)
    mask = torch.arange(x.shape[1]) < lengths.unsqueeze(1)
    out = torch.cat([layer(x, mask) for layer in ours], dim=-1)
    (grad,) = torch.autograd.grad(loss(out), x, retain_graph=True)
    loss(out).backward()
    expected = packed(theirs, x, lengths)
    (expected_grad,) = torch.autograd.grad(loss(expected), x, retain_graph=True)
    loss(expected).backward()
    torch.testing.assert_close(out, expected, **CLOSE)
    torch.testing.assert_close(grad, expected_grad, **CLOSE)
    gradients = {name: p.grad for name, p in weights(ours).items()}
    for name, parameter in theirs.named_parameters():
        torch.testing.assert_close(gradients[name], parameter.grad, **CLOSE)


@pytest.mark.parametrize("cell", PEERS)
def test_without_a_mask_every_step_is_real(cell):
    (layer, _), _ = pair_of(cell, 4, 6)
    x = torch.randn(2, 3, 4)
    assert torch.equal(layer(x), layer(x, torch.ones(2, 3, dtype=torch.bool)))


@pytest.mark.parametrize("cell", PEERS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_padding_never_changes_a_result(cell, bidirectional):
    torch.manual_seed(0)
    encoder = RecurrentEncoder(20, 8, cell, bidirectional)
    short, padded = torch.tensor([[3, 4, 5]]), torch.tensor([[3, 4, 5, 0, 17]])
    mask = torch.tensor([[True, True, True, False, False]])
    alone, among = encoder(short), encoder(padded, mask)
    torch.testing.assert_close(among.tokens[:, :3], alone.tokens)
    torch.testing.assert_close(among.pooled(), alone.pooled())
    assert among.tokens[:, 3:].abs().sum() == 0


@pytest.mark.parametrize("cell", PEERS)
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("places", [(2, 3, 4), (0, 2, 4), (0, 1, 2)])
def test_padding_may_stand_anywhere(cell, bidirectional, places):
    torch.manual_seed(0)
    encoder = RecurrentEncoder(20, 8, cell, bidirectional)
    padded, mask = torch.full((1, 5), 17), torch.zeros(1, 5, dtype=torch.bool)
    padded[0, places], mask[0, places] = torch.tensor([3, 4, 5]), True
    among, alone = encoder(padded, mask).tokens, encoder(torch.tensor([[3, 4, 5]])).tokens
    torch.testing.assert_close(among[:, places], alone)
    assert among[~mask].abs().sum() == 0


@pytest.mark.parametrize("cell", PEERS)
def test_a_row_of_padding_alone_pools_to_zeros(cell):
    encoder = RecurrentEncoder(20, 8, cell, bidirectional=True)
    mask = torch.tensor([[False] * 4, [True] * 4])
    encoded = encoder(torch.ones(2, 4, dtype=torch.long), mask)
    encoded.pooled().sum().backward()
    assert encoded.pooled()[0].tolist() == [0.0] * 8
    assert encoded.pooled()[1].abs().sum() > 0
    assert all(torch.isfinite(p.grad).all() for p in encoder.parameters())


def test_a_cell_has_as_many_blocks_as_gates_and_candidates():
    def count(cell):
        return sum(p.numel() for p in Recurrent(7, 5, cell).parameters())

    once = 7 * 5 + 5 * 5 + 5 + 5
    assert [count(cell) for cell in ("rnn", "gru", "lstm")] == [once, 3 * once, 4 * once]


def test_an_lstm_starts_by_remembering():
    torch.manual_seed(0)
    plain = Recurrent(3, 2, "lstm", forget_bias=0)
    torch.manual_seed(0)
    added = Recurrent(3, 2, "lstm").input.bias - plain.input.bias
    torch.testing.assert_close(added, torch.tensor([0.0, 0, 1, 1, 0, 0, 0, 0]))


def test_one_direction_does_not_look_ahead_and_two_do():
    for bidirectional in (False, True):
        torch.manual_seed(0)
        encoder = RecurrentEncoder(9, 4, "gru", bidirectional)
        one, other = (encoder(torch.tensor([[2, 3, last]])).tokens[:, 0] for last in (4, 5))
        assert torch.equal(one, other) is not bidirectional


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="cell must be 'rnn', 'lstm' or 'gru', got 'elman'"):
        Recurrent(3, 4, "elman")
    with pytest.raises(ValueError, match="must be even with two directions, got 5"):
        RecurrentEncoder(9, 5, bidirectional=True)
    with pytest.raises(ValueError, match=r"tokens must be whole numbers in \[0, 9\), got 9"):
        RecurrentEncoder(9, 4)(torch.tensor([[9]]))


def test_the_last_token_is_the_last_real_one():
    torch.manual_seed(0)
    encoder = RecurrentEncoder(20, 8, "gru")
    x = torch.tensor([[3, 4, 5, 0], [6, 0, 0, 0], [0, 0, 0, 0]])
    last = LastToken(encoder)(x, x != 0)
    torch.testing.assert_close(last.tokens[0, 0], encoder(x[:1, :3]).tokens[0, 2])
    torch.testing.assert_close(last.tokens[1, 0], encoder(x[1:2, :1]).tokens[0, 0])
    assert last.mask.tolist() == [[True], [True], [False]]
    assert last.pooled()[2].tolist() == [0.0] * 8
