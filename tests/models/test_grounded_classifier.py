"""The grounded classifier: what its gates select, and that it adds up instead of averaging."""

import pytest
import torch
from torch import Tensor, nn

from mmtutor.encoders import Encoded, SmallCNN
from mmtutor.encoders.recurrent import LastToken, RecurrentEncoder
from mmtutor.models.grounded_classifier import GroundedClassifier


class Given(nn.Module):
    """Tokens that are in the batch already."""

    def __init__(self, modality: str, dim: int) -> None:
        super().__init__()
        self.modality, self.dim = modality, dim

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Encoded:
        return Encoded(x, torch.ones_like(x[..., 0]) > 0 if mask is None else mask)


def by_hand() -> GroundedClassifier:
    """A token is (kind, value), and kind and question are +1 or -1.

    The first head selects the tokens of the question's kind, the second the others.
    """
    torch.manual_seed(0)
    model = GroundedClassifier(Given("seen", 2), Given("asked", 1), 3, heads=2, dim=1, hidden=8)
    weights = {"query": [[40.0], [-40.0]], "key": [[1.0, 0.0]] * 2, "value": [[0.0, 1.0]] * 2}
    for name, weight in weights.items():
        nn.init.zeros_(getattr(model, name).bias)
        getattr(model, name).weight.data = torch.tensor(weight)
    return model


def found(model: GroundedClassifier, batch: dict[str, Tensor]) -> Tensor:
    """What the reading layers are given: two sums, two counts and the product of the sums."""
    given = []
    hook = model.film_layers[0].register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
    model(batch)
    hook.remove()
    return given[0].detach()


def small() -> GroundedClassifier:
    torch.manual_seed(0)
    text = LastToken(RecurrentEncoder(20, 12, "gru"))
    return GroundedClassifier(Given("seen", 6), text, 5, heads=3, dim=4, hidden=8).eval()


def batch() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {
        "seen": torch.randn(3, 7, 6, generator=generator),
        "tokens": torch.randint(1, 20, (3, 5), generator=generator),
        "tokens_mask": torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 0, 0, 0, 0]]) > 0,
    }


def test_a_gate_set_by_hand_selects_counts_and_sums():
    kind = torch.tensor([1.0, -1.0, 1.0, 1.0, -1.0])
    value = torch.tensor([2.0, 30.0, -5.0, 0.5, 7.0])
    seen = torch.stack([kind, value], dim=-1).expand(2, -1, -1)
    asked = torch.tensor([1.0, -1.0]).view(2, 1, 1)
    model = by_hand()
    expected = torch.tensor([[-2.5, 37.0, 3.0, 2.0, -92.5], [37.0, -2.5, 2.0, 3.0, -92.5]])
    torch.testing.assert_close(found(model, {"seen": seen, "asked": asked}), expected)
    gates = model({"seen": seen, "asked": asked}).gates
    its_kind = kind * asked.squeeze(1) > 0  # [2, 5]
    assert (gates > 0).equal(torch.stack([its_kind, ~its_kind], dim=1))


def test_alike_tokens_are_counted_where_a_mean_forgets_how_many_there_were():
    model, asked = by_hand(), torch.ones(4, 1, 1)
    seen = torch.tensor([1.0, 0.3]).expand(4, 4, 2)
    mask = torch.arange(4) < torch.arange(1, 5)[:, None]  # 1, 2, 3 and 4 of the same
    given = {"seen": seen, "seen_mask": mask, "asked": asked}
    expected = torch.tensor([0.3, 0.0, 1.0, 0.0, 0.0]) * torch.arange(1.0, 5)[:, None]
    torch.testing.assert_close(found(model, given), expected)
    means = Encoded(seen, mask).pooled()
    torch.testing.assert_close(means, means[:1].expand(4, -1))
    logits = model(given).logits
    assert torch.cdist(logits, logits)[~torch.eye(4, dtype=bool)].min() > 1e-3


def test_padding_of_either_modality_changes_nothing():
    model, given = small(), batch()
    plain = model(given)
    padded = {
        "seen": torch.cat([given["seen"], torch.full((3, 4, 6), 9.0)], dim=1),
        "seen_mask": (torch.arange(11) < 7).expand(3, -1),
        "tokens": nn.functional.pad(given["tokens"], (0, 3), value=7),
        "tokens_mask": nn.functional.pad(given["tokens_mask"], (0, 3)),
    }
    for key in ("seen", "tokens"):
        extra = {name: value for name, value in padded.items() if name.startswith(key)}
        output = model({**given, **extra})
        torch.testing.assert_close(output.logits, plain.logits, rtol=0, atol=1e-5)
        torch.testing.assert_close(output.gates[..., :7], plain.gates, rtol=0, atol=1e-5)


def test_the_order_of_what_is_seen_does_not_matter():
    model, given = small(), batch()
    order = torch.tensor([3, 0, 6, 1, 5, 2, 4])
    plain, turned = model(given), model({**given, "seen": given["seen"][:, order]})
    torch.testing.assert_close(turned.logits, plain.logits, rtol=0, atol=1e-5)
    torch.testing.assert_close(turned.gates, plain.gates[..., order], rtol=0, atol=1e-5)


def test_a_batch_of_one_gives_what_it_gives_among_others():
    model, given = small(), batch()
    alone = model({name: value[1:2] for name, value in given.items()})
    together = model(given)
    assert alone.logits.shape == (1, 5)
    assert alone.gates.shape == (1, 3, 7)
    torch.testing.assert_close(alone.logits, together.logits[1:2], rtol=0, atol=1e-5)
    torch.testing.assert_close(alone.gates, together.gates[1:2], rtol=0, atol=1e-5)


def test_where_nothing_is_seen_nothing_is_counted():
    model = by_hand()
    given = {"seen": torch.ones(1, 2, 2), "seen_mask": torch.zeros(1, 2) > 0}
    given["asked"] = torch.ones(1, 1, 1)
    assert found(model, given).tolist() == [[0.0] * 5]
    assert model(given).logits.isfinite().all()


def test_the_question_alone_changes_gates_and_answer():
    model, given = small(), batch()
    other = model({**given, "tokens": given["tokens"].roll(1, 0)})
    plain = model(given)
    assert (other.gates - plain.gates).abs().amax(dim=(1, 2)).min() > 1e-3
    assert (other.logits - plain.logits).abs().amax(dim=1).min() > 1e-3


@pytest.mark.parametrize("absent", ["seen", "tokens"])
def test_a_missing_modality_is_named(absent):
    given = {name: value for name, value in batch().items() if not name.startswith(absent)}
    with pytest.raises(KeyError, match=f"the batch lacks {absent}"):
        small()(given)


def test_gradients_reach_the_pixels_and_every_weight():
    torch.manual_seed(0)
    text = LastToken(RecurrentEncoder(20, 12, "gru"))
    model = GroundedClassifier(SmallCNN(8, width=4), text, 5, heads=2, dim=4, hidden=16)
    image = torch.rand(4, 3, 16, 16, requires_grad=True)
    output = model({"image": image, "tokens": torch.randint(1, 20, (4, 5))})
    output.logits.square().sum().backward()
    assert image.grad.flatten(1).abs().amax(dim=1).min() > 0
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_one_selection_is_too_few_to_compare():
    with pytest.raises(ValueError, match="heads must be a whole number of at least 2, got 1"):
        GroundedClassifier(Given("seen", 2), Given("asked", 1), 3, heads=1)


def test_every_other_example_is_read_as_it_is_told():
    given = batch()
    given["attention_target"] = torch.ones(3, 2, 7)
    model = small().train()
    counts = found(model, given)[:, 12:15]  # three heads, sums of size four
    own = model(given).gates.sigmoid()
    expected = own.sum(dim=2)
    expected[::2, :2] = 7  # the third head is told nothing
    torch.testing.assert_close(counts, expected)


def test_in_a_test_nobody_is_told_anything():
    model, given = small(), batch()
    plain = model(given)
    told = model({**given, "attention_target": torch.ones(3, 2, 7)})
    assert told.logits.equal(plain.logits)
    assert told.gates.equal(plain.gates)


def test_gates_learn_only_from_examples_that_are_read_by_them():
    given = {**batch(), "attention_target": torch.ones(3, 2, 7)}
    model = small().train()
    output = model(given)
    slope = torch.autograd.grad(output.logits.square().sum(), output.gates)[0][:, :2]
    assert slope[::2].abs().max() == 0
    assert slope[1].abs().min() > 0


def test_without_teacher_forcing_it_reads_its_own_selections():
    model, given = small().train(), batch()
    model.teacher_forcing = False
    plain = model(given).logits
    assert model({**given, "attention_target": torch.ones(3, 2, 7)}).logits.equal(plain)
