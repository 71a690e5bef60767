from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmtutor.evaluation.efficiency import peak_bytes
from mmtutor.losses import ContrastiveObjective
from mmtutor.training import InChunks, train


class Pairs(NamedTuple):
    image: Tensor
    text: Tensor


class Towers(nn.Module):
    def __init__(self, dropout=0.0, width=16):
        super().__init__()
        torch.manual_seed(0)
        self.image, self.text = (
            nn.Sequential(nn.Linear(6, width), nn.Tanh(), nn.Dropout(dropout), nn.Linear(width, 4))
            for _ in "ab"
        )

    def forward(self, batch):
        image, text = self.image(batch["image"]), self.text(batch["text"])
        return Pairs(F.normalize(image, dim=1), F.normalize(text, dim=1))


def pairs(batch=11):
    draw = torch.Generator().manual_seed(1)
    return {key: torch.randn(batch, 6, generator=draw) for key in ("image", "text")}


def gradients(model, objective, output, batch):
    """The loss and its gradients, those of the objective's own parameters too."""
    loss = objective(output, batch)
    return loss, *torch.autograd.grad(loss, [*model.parameters(), *objective.parameters()])


@pytest.mark.parametrize("kind", ["info_nce", "sigmoid"])
@pytest.mark.parametrize("chunk", [1, 4, 11, 50])
def test_loss_and_gradients_are_those_of_the_whole_batch(kind, chunk):
    model, objective, batch = Towers(), ContrastiveObjective(kind), pairs()
    expected = gradients(model, objective, model(batch), batch)
    output = InChunks(model, chunk)(batch)
    assert isinstance(output, Pairs)
    found = gradients(model, objective, output, batch)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_each_chunk_drops_the_same_units_twice():
    """Against the same chunks with all their activations held; and chance goes on alike after."""
    model, objective, batch = Towers(dropout=0.5), ContrastiveObjective(), pairs()
    torch.manual_seed(3)
    parts = [model({key: x[i : i + 4] for key, x in batch.items()}) for i in (0, 4, 8)]
    whole = Pairs(*map(torch.cat, zip(*parts, strict=True)))
    expected = *gradients(model, objective, whole, batch), torch.rand(3)
    torch.manual_seed(3)
    found = *gradients(model, objective, InChunks(model, 4)(batch), batch), torch.rand(3)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_in_half_precision_too():
    model, objective, batch = Towers(), ContrastiveObjective(), pairs()
    with torch.autocast("cpu", torch.bfloat16):
        whole, chunked = model(batch), InChunks(model, 4)(batch)
    expected = gradients(model, objective, whole, batch)
    found = gradients(model, objective, chunked, batch)
    for one, other in zip(found, expected, strict=True):
        assert (one - other).norm() < 0.03 * other.norm()


def test_one_chunk_of_activations_is_held():
    model, batch = Towers(width=2048), pairs(64)
    objective = ContrastiveObjective()

    def peak(net):
        return peak_bytes(lambda: gradients(net, objective, net(batch), batch))

    assert peak(InChunks(model, 4)) < 0.3 * peak(model)


def test_the_last_chunk_goes_forward_once():
    """Twice the others; so one that holds the whole batch costs nothing more."""
    for chunk, expected in ((4, 5), (11, 1)):
        model, batch, calls = Towers(), pairs(11), []
        model.register_forward_pre_hook(lambda *_: calls.append(1))  # noqa: B023
        gradients(model, ContrastiveObjective(), InChunks(model, chunk)(batch), batch)
        assert len(calls) == expected


def test_it_trains_in_the_loop():
    ways = []
    for chunk in (None, 3):
        model, objective = Towers(), ContrastiveObjective()
        optimizer = torch.optim.SGD([*model.parameters(), *objective.parameters()], lr=0.1)
        net = InChunks(model, chunk) if chunk else model
        losses = train(net, objective, [pairs()], optimizer, epochs=3)
        ways.append((losses, [*model.parameters()]))
    torch.testing.assert_close(*ways, rtol=1e-5, atol=1e-5)


def test_what_depends_on_other_examples_is_refused():
    class Normalised(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(6)

        def forward(self, batch):
            return self.norm(batch["image"])

    model = InChunks(Normalised(), 4)
    with pytest.raises(ValueError, match=r"got batch normalisation in 'norm'"):
        model(pairs())
    assert model.eval()(pairs()).shape == (11, 6)


@pytest.mark.parametrize("spoil", [torch.sum, lambda x: x[1:], lambda x: "abc"])
def test_output_without_a_row_an_example_is_refused(spoil):
    class Spoiled(nn.Module):
        def forward(self, batch):
            return spoil(batch["image"])

    with pytest.raises(ValueError, match="model must return tensors of 4 rows, one an example"):
        InChunks(Spoiled(), 4)(pairs())
