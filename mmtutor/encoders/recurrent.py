"""Recurrent layers written from their equations, and a text encoder made of them.

Knows the RNN (Elman 1990), the LSTM (Hochreiter and Schmidhuber 1997, with the forget gate of Gers
et al. 2000) and the GRU (Cho et al. 2014, in the form that PyTorch computes). Knows padding; knows
nothing of words or of losses.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mmtutor import checks
from mmtutor.encoders.base import Encoded, check_ids, real

State = tuple[Tensor, ...]


def rnn_step(projected: Tensor, recurrent: nn.Linear, state: State) -> State:
    """h' = tanh(W x + U h): one state and no gate."""
    (hidden,) = state
    return (torch.tanh(projected + recurrent(hidden)),)


def lstm_step(projected: Tensor, recurrent: nn.Linear, state: State) -> State:
    """Input, forget and output gate around a memory cell c: c' = f c + i g, h' = o tanh(c')."""
    hidden, memory = state
    i, f, g, o = (projected + recurrent(hidden)).chunk(4, dim=-1)
    memory = f.sigmoid() * memory + i.sigmoid() * g.tanh()
    return o.sigmoid() * memory.tanh(), memory


def gru_step(projected: Tensor, recurrent: nn.Linear, state: State) -> State:
    """Reset and update gate: h' = (1 - z) n + z h, where r scales the past within n."""
    (hidden,) = state
    x_r, x_z, x_n = projected.chunk(3, dim=-1)
    h_r, h_z, h_n = recurrent(hidden).chunk(3, dim=-1)
    r, z = (x_r + h_r).sigmoid(), (x_z + h_z).sigmoid()
    n = torch.tanh(x_n + r * h_n)
    return ((1 - z) * n + z * hidden,)


class _Cell(NamedTuple):
    """One kind of recurrence.

    Attributes:
        step: (W x_t, U, state) -> next state; the first entry of a state is the hidden state h.
        blocks: how many linear maps of size D are stacked in W and in U: the gates and a candidate.
        states: tensors in a state.
    """

    step: Callable[[Tensor, nn.Linear, State], State]
    blocks: int
    states: int


CELLS = {"rnn": _Cell(rnn_step, 1, 1), "lstm": _Cell(lstm_step, 4, 2), "gru": _Cell(gru_step, 3, 1)}


class Recurrent(nn.Module):
    """A recurrent layer over a padded batch, first step to last or, with `reverse`, backwards.

    Equal to `nn.RNN`, `nn.LSTM` and `nn.GRU` of one layer with the same weights, on packed
    sequences: a step that is padding leaves the state as it was, and gives zeros.

    Args:
        in_dim: size of an input vector.
        dim: size D of a hidden state.
        cell: "rnn", "lstm" or "gru".
        reverse: walk from the last step to the first.
        forget_bias: added to an LSTM's forget gate at the start, so that it begins by remembering
            (Jozefowicz et al. 2015).
    """

    def __init__(
        self,
        in_dim: int,
        dim: int,
        cell: str = "lstm",
        reverse: bool = False,
        forget_bias: float = 1.0,
    ) -> None:
        super().__init__()
        checks.at_least(1, in_dim=in_dim, dim=dim)
        checks.one_of(CELLS, cell=cell)
        self.dim, self.cell, self.reverse = dim, CELLS[cell], reverse
        self.input = nn.Linear(in_dim, self.cell.blocks * dim)  # W
        self.recurrent = nn.Linear(dim, self.cell.blocks * dim)  # U
        if cell == "lstm":
            with torch.no_grad():
                self.input.bias[dim : 2 * dim] += forget_bias

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """x (B, L, in_dim), mask (B, L) bool, True = real -> hidden states (B, L, D)."""
        checks.shaped(x=(x, f"B L {self.input.in_features}"))
        mask = mask if mask is None else real(x, mask)
        projected = self.input(x).unbind(dim=1)  # all steps at once; the rest must wait its turn
        keep = None if self._harmless(mask) else mask.unsqueeze(-1).unbind(dim=1)
        state = tuple(x.new_zeros(len(x), self.dim) for _ in range(self.cell.states))
        steps = range(x.shape[1])
        hidden = [state[0]] * len(steps)
        for t in reversed(steps) if self.reverse else steps:
            after = self.cell.step(projected[t], self.recurrent, state)
            if keep is not None:
                pairs = zip(after, state, strict=True)
                after = tuple(torch.where(keep[t], new, old) for new, old in pairs)
            state = after
            hidden[t] = state[0]
        out = torch.stack(hidden, dim=1)  # [B, L, D]
        return out if mask is None else out.masked_fill(~mask.unsqueeze(-1), 0)

    def _harmless(self, mask: Tensor | None) -> bool:
        """Is there no padding, or only where no real step comes after it?"""
        if mask is None:
            return True
        first, second = (mask[:, 1:], mask[:, :-1]) if self.reverse else (mask[:, :-1], mask[:, 1:])
        return bool((first | ~second).all())


class RecurrentEncoder(nn.Module):
    """Token embeddings, then a recurrent layer; every token is the state at its place.

    Padding never changes the tokens that are real, and comes out as zeros.

    Args:
        vocab_size: number of token ids; ids lie in [0, vocab_size).
        dim: size D of a token; with `bidirectional` each direction gives half of it.
        cell: "rnn", "lstm" or "gru".
        bidirectional: also walk backwards, so that a token knows what comes after it.
        forget_bias: as in `Recurrent`.
    """

    modality = "tokens"

    def __init__(
        self,
        vocab_size: int,
        dim: int = 128,
        cell: str = "lstm",
        bidirectional: bool = False,
        forget_bias: float = 1.0,
    ) -> None:
        super().__init__()
        checks.at_least(1, vocab_size=vocab_size, dim=dim)
        if bidirectional and dim % 2:
            raise ValueError(f"dim must be even with two directions, got {dim}")
        self.dim, self.vocab_size = dim, vocab_size
        self.embedding = nn.Embedding(vocab_size, dim)
        directions = (False, True) if bidirectional else (False,)
        size = dim // len(directions)
        self.layers = nn.ModuleList(
            Recurrent(dim, size, cell, reverse, forget_bias) for reverse in directions
        )
        nn.init.normal_(self.embedding.weight, std=dim**-0.5)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Encoded:
        """Token ids (B, L) int64 and mask (B, L) bool, True = real -> tokens (B, L, D).

        Raises:
            ValueError: an id has no embedding (looked at on a CPU only).
        """
        check_ids(x, self.vocab_size)
        mask = real(x, mask)
        embedded = self.embedding(x)  # [B, L, D]
        return Encoded(torch.cat([layer(embedded, mask) for layer in self.layers], dim=-1), mask)


class LastToken(nn.Module):
    """Another encoder's last real token alone: what one vector remembers of the whole.

    Args:
        encoder: gives tokens whose padding, if any, comes last or first.
    """

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder, self.modality, self.dim = encoder, encoder.modality, encoder.dim

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Encoded:
        """(B, L) -> tokens (B, 1, D); a row without a real token gives padding."""
        tokens, mask = self.encoder(x, mask)
        places = torch.arange(mask.shape[1], device=mask.device)
        last = tokens[torch.arange(len(tokens)), (places * mask).amax(dim=1)]  # [B, D]
        return Encoded(last.unsqueeze(1), mask.any(dim=1, keepdim=True))
