import json
import re
from importlib.resources import files

import pytest
import torch
import torch.nn.functional as F
from py_mini_racer import MiniRacer

from mmtutor.notebook import explorers


@pytest.fixture(scope="module")
def run():
    """Call a function of the script's first half: `run("softmax", [1, 2], 0.5)`."""
    engine = MiniRacer()
    engine.eval((files("mmtutor.notebook") / "explorers.js").read_text(encoding="utf-8"))

    def call(name, *arguments):
        listed = ", ".join(json.dumps(argument) for argument in arguments)
        return json.loads(engine.eval(f"JSON.stringify(maths.{name}({listed}))"))

    return call


@pytest.mark.parametrize("temperature", [0.05, 1.0, 10.0])
def test_softmax_equals_torchs(run, temperature):
    logits = [3.0, -1.0, 0.5, 40.0]
    expected = (torch.tensor(logits, dtype=torch.float64) / temperature).softmax(0)
    found = run("softmax", logits, temperature)
    assert found == pytest.approx(expected.tolist(), abs=1e-12)
    entropy = torch.special.entr(expected).sum().item()
    assert run("entropy", found) == pytest.approx(entropy, abs=1e-9)


@pytest.mark.parametrize("temperature", [0.01, 0.3, 2.0])
def test_info_nce_equals_torchs(run, temperature):
    similarity = torch.randn(5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = run("infoNce", similarity.tolist(), temperature)
    logits = (similarity / temperature).requires_grad_()
    loss = F.cross_entropy(logits, torch.arange(5))
    loss.backward()
    assert found["loss"] == pytest.approx(loss.item())
    rows = torch.tensor(found["rows"], dtype=torch.float64)
    torch.testing.assert_close(rows, logits.detach().softmax(1))
    if temperature > 0.1:  # below, the gradient itself underflows
        pulls = logits.grad.masked_fill(torch.eye(5, dtype=torch.bool), 0)
        share = (pulls.amax(1) / pulls.sum(1)).mean().item()
        assert found["share"] == pytest.approx(share)


def test_accuracy_of_a_weighted_average(run):
    generator = torch.Generator().manual_seed(0)
    one, other = torch.rand(2, 40, 3, generator=generator)
    label = torch.randint(3, (40,), generator=generator)
    for alpha in (0.0, 0.3, 1.0):
        expected = ((alpha * one + (1 - alpha) * other).argmax(1) == label).double().mean()
        found = run("accuracy", one.tolist(), other.tolist(), label.tolist(), alpha)
        assert found == pytest.approx(expected.item())


def test_descent_equals_torchs(run):
    at = torch.tensor([-4.0, 1.6], dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.SGD([at], lr=0.07, momentum=0.6)
    for _ in range(20):
        optimiser.zero_grad()
        ((at**2 * torch.tensor([1.0, 12.0])).sum() / 2).backward()
        optimiser.step()
    path = run("descend", [-4, 1.6], 12, 0.07, 0.6, 20)
    assert len(path) == 21
    assert path[-1] == pytest.approx(at.tolist())


def test_the_stated_limit_of_the_learning_rate(run):
    for momentum in (0.0, 0.5):
        limit = 2 * (1 + momentum) / 12
        for factor, converges in ((0.97, True), (1.03, False)):
            end = run("descend", [-4, 1.6], 12, factor * limit, momentum, 500)[-1]
            assert (abs(end[1]) < 1) == converges


def test_a_page_needs_nothing_else():
    pages = [
        explorers.softmax_temperature([1.0, 2.0]),
        explorers.info_nce_temperature(torch.eye(3)),
        explorers.fusion_weight(
            *torch.rand(2, 4, 2), torch.tensor([0, 1, 0, 1]), ("</script>", "b")
        ),
        explorers.descent(),
    ]
    marks = set()
    for page in pages:
        assert page.data.count("</script>") == 1
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|\bsrc=|\bimport\b", page.data)
        marks.add(re.search(r'data-mark="(\w+)"', page.data)[1])
    assert len(marks) == len(pages)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="logits must be finite"):
        explorers.softmax_temperature([1.0, float("inf")])
    with pytest.raises(ValueError, match="2 x 3"):
        explorers.info_nce_temperature(torch.zeros(2, 3))
    with pytest.raises(
        ValueError, match=r"other must be \(N, C\) with N = 2, C = 3, got .* \(2, 4\)"
    ):
        explorers.fusion_weight(torch.zeros(2, 3), torch.zeros(2, 4), torch.zeros(2).long())
