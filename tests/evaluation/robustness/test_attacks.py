from itertools import product

import pytest
import torch
from torch import nn

from mmtutor.evaluation.robustness.attacks import (
    _uphill,
    cross_entropy,
    fgsm,
    input_gradient,
    margin,
    margins,
    pgd,
    random_noise,
)
from tests.evaluation.small_models import Linear, Network, pictures


def grey(batch):
    """The batch with pictures so far from black and white that no bound stops an attack of 0.4."""
    return {**batch, "image": 0.4 + 0.2 * batch["image"]}


@pytest.fixture
def linear() -> Linear:
    torch.manual_seed(1)
    return Linear(torch.randn(2, 12)).double()


def doubled(batch):
    return {**batch, "image": batch["image"].double()}


def test_margin_by_hand():
    logits = torch.tensor([[3.0, 1.0, 2.0], [0.0, 5.0, 1.0], [1.0, 1.0, 0.0]])
    assert margin(logits, torch.tensor([0, 2, 0])).tolist() == [-1.0, 4.0, 0.0]


@pytest.mark.parametrize(("norm", "dual"), [("linf", 1), ("l2", 2)])
def test_fgsm_is_the_worst_change_of_a_linear_model(linear, norm, dual):
    batch = grey(doubled(pictures(Linear(torch.randn(2, 12)))))
    clean, weight = margins(linear, batch), linear.weight.detach()
    length = (weight[0] - weight[1]).norm(p=dual)  # the dual norm (Goodfellow et al., section 3)
    for attack, options in ((fgsm, {}), (pgd, {"steps": 80, "step": 0.1})):
        attacked = attack(linear, batch, 0.3, norm=norm, **options)
        expected = clean + 0.3 * length
        torch.testing.assert_close(margins(linear, attacked), expected, rtol=1e-5, atol=1e-5)


def test_pgd_finds_the_worst_corner_of_three_classes():
    torch.manual_seed(2)
    model = Linear(torch.randn(3, 4))
    batch = grey(pictures(model, 40, (4,)))
    corners = 0.2 * torch.tensor(list(product([-1.0, 1.0], repeat=4)))  # a maximum of linear ones
    worst = torch.stack(
        [margins(model, {**batch, "image": batch["image"] + corner}) for corner in corners]
    ).amax(dim=0)
    found = pgd(model, batch, 0.2, steps=20, restarts=10, loss=margin)
    assert (margins(model, found) <= worst + 1e-5).all()
    assert (margins(model, found) - worst).abs().median() < 1e-5
    assert ((margins(model, found) > 0) == (worst > 0)).float().mean() > 0.95


def test_the_gradient_is_of_each_example_alone(linear):
    batch = doubled(pictures(linear.float()))
    linear.double()
    gradient, logits = input_gradient(linear, batch)
    p = logits.softmax(dim=1) - nn.functional.one_hot(batch["label"], 2)
    torch.testing.assert_close(
        gradient.flatten(1), p @ linear.weight.detach(), rtol=1e-4, atol=1e-6
    )
    assert linear.weight.grad is None


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("attack", [fgsm, pgd, random_noise])
def test_attacks_stay_in_ball_and_bounds(attack, norm):
    model = Network()
    batch = pictures(model)
    attacked = attack(model, batch, 0.4, norm=norm)
    change = (attacked["image"] - batch["image"]).flatten(1)
    order = torch.inf if norm == "linf" else 2
    lengths = change.norm(p=order, dim=1)
    assert lengths.max() <= 0.4 + 1e-5
    assert lengths.max() > 0.1
    assert attacked["image"].min() >= 0
    assert attacked["image"].max() <= 1
    assert attacked["label"] is batch["label"]


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_pgd_is_at_least_as_strong_as_fgsm_and_noise_at_every_radius(norm):
    model = Network()
    batch = pictures(model, 300)
    last = 1.0
    for radius in (0.02, 0.05, 0.1, 0.2) if norm == "linf" else (0.1, 0.2, 0.4, 0.8):
        left = {
            attack: (margins(model, attack(model, batch, radius, norm=norm)) <= 0).float().mean()
            for attack in (fgsm, pgd, random_noise)
        }
        assert left[pgd] <= left[fgsm]
        assert left[pgd] < left[random_noise]
        assert left[pgd] < last  # falls with the radius
        last = left[pgd]
    assert last < 0.1


def test_no_example_is_better_off_after_pgd():
    model = Network()
    batch = pictures(model)
    batch["label"] = batch["label"].roll(1)  # some are wrong before
    clean = margins(model, batch)
    for radius in (0.0, 0.05):
        assert (margins(model, pgd(model, batch, radius, steps=1)) >= clean).all()
    assert torch.equal(pgd(model, batch, 0.0)["image"], batch["image"])


def test_restarts_are_never_weaker_and_a_generator_decides():
    model = Network()
    batch = pictures(model)
    one = margins(model, pgd(model, batch, 0.05, steps=2))
    more = margins(model, pgd(model, batch, 0.05, steps=2, restarts=5))
    assert (more >= one).all()
    assert (more > one).any()
    other = pgd(model, batch, 0.05, steps=2, generator=torch.Generator().manual_seed(3))
    same = pgd(model, batch, 0.05, steps=2, generator=torch.Generator().manual_seed(3))
    assert torch.equal(other["image"], same["image"])
    assert not torch.equal(other["image"], pgd(model, batch, 0.05, steps=2)["image"])


@pytest.mark.parametrize("attack", [fgsm, pgd, random_noise])
def test_the_model_is_left_as_it_came(attack):
    model = Network()
    batch = pictures(model)
    model.train()
    model.layers[2].eval()  # as a frozen part would be
    before = {name: value.clone() for name, value in model.state_dict().items()}
    torch.manual_seed(0)
    attacked = attack(model, batch, 0.1)
    assert [m.training for m in model.layers] == [True, True, False, True, True, True]
    assert all(p.grad is None for p in model.parameters())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert not attacked["image"].requires_grad
    expected = torch.manual_seed(0) and torch.rand(3)
    torch.manual_seed(0)
    attack(model, batch, 0.1)
    assert torch.equal(torch.rand(3), expected)  # nobody's random numbers are used up


def test_a_transferred_attack_is_weaker():
    model, other = Network(seed=0), Network(seed=1)
    batch = pictures(model, 200)
    own, lent = (pgd(attacked, batch, 0.1) for attacked in (model, other))
    white, black = ((margins(model, x) <= 0).float().mean() for x in (own, lent))
    assert white < black


def test_a_model_that_cuts_the_path_gives_zeros():
    class Cut(nn.Module):
        def forward(self, batch):
            return Linear(torch.ones(2, 12))({"image": batch["image"].detach()})

    batch = pictures(Linear(torch.randn(2, 12)))
    gradient, _ = input_gradient(Cut(), batch)
    assert gradient.shape == batch["image"].shape
    assert not gradient.any()
    assert torch.equal(fgsm(Cut(), batch, 0.1)["image"], batch["image"])


def test_cross_entropy_is_that_of_each_example():
    logits, label = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    expected = -logits.log_softmax(dim=1)[torch.arange(4), label]
    torch.testing.assert_close(cross_entropy(logits, label), expected)


def test_what_cannot_be_attacked_is_refused():
    model = Network()
    batch = pictures(model)
    with pytest.raises(KeyError, match="lacks label"):
        fgsm(model, {"image": batch["image"]}, 0.1)
    with pytest.raises(KeyError, match="lacks image"):
        pgd(model, {"label": batch["label"]}, 0.1)
    with pytest.raises(ValueError, match=r"radius must be in \[0, inf\)"):
        pgd(model, batch, -1)
    with pytest.raises(ValueError, match="norm must be"):
        fgsm(model, batch, 0.1, norm="l1")
    with pytest.raises(TypeError, match="must be a floating-point tensor"):
        fgsm(model, {**batch, "image": batch["image"].byte()}, 0.1)
    for attack in (fgsm, pgd, random_noise):
        with pytest.raises(ValueError, match=r"image.* must be in \[0, 1\]"):
            attack(model, {**batch, "image": 2 * batch["image"] - 1}, 0.1)
    with pytest.raises(ValueError, match="steps must be"):
        pgd(model, batch, 0.1, steps=0)


@pytest.mark.parametrize("size", [1e-30, 1e-20, 1.0, 1e20])
def test_a_step_has_length_one_however_small_the_gradient(size):
    gradient = size * torch.randn(3, 2, 4, 4)
    assert _uphill(gradient, "l2").flatten(1).norm(dim=1).tolist() == pytest.approx([1] * 3)
    still = torch.zeros(1, 3, dtype=torch.float16)
    assert _uphill(still, "l2").tolist() == [[0, 0, 0]]


def test_one_answer_that_is_no_number_does_not_end_the_attack():
    calls = []

    class Hiccup(Linear):
        def forward(self, batch):
            calls.append(1)
            output = super().forward(batch)
            return output._replace(logits=output.logits * (torch.nan if len(calls) == 4 else 1))

    torch.manual_seed(0)
    weight = torch.randn(2, 12)
    batch = pictures(Linear(weight))
    attacked = pgd(Hiccup(weight), batch, 0.3, steps=10)
    clean = margins(Linear(weight), batch)
    assert (margins(Linear(weight), attacked) > clean).all()
