import pytest
import torch
from torch import nn

from mmtutor.data import Dataset
from mmtutor.evaluation.robustness.attacks import fgsm
from mmtutor.evaluation.robustness.curves import (
    _Curve,
    attack_curve,
    corruption_error,
    effective_robustness,
    missing_curve,
    severity_curve,
    trend,
)
from mmtutor.models import ClassifierOutput
from tests.evaluation.small_models import Linear


def line(*accuracy: float, n: int = 20) -> _Curve:
    rows = [[i < round(a * n) for i in range(n)] for a in accuracy]
    return _Curve(tuple(range(len(accuracy))), torch.tensor(rows))


class Brightness(nn.Module):
    """Class 1 is a bright picture."""

    def forward(self, batch):
        mean = batch["image"].flatten(1).mean(dim=1)
        return ClassifierOutput(torch.stack([0.5 - mean, mean - 0.5], dim=1))


class Either(nn.Module):
    """Right by either modality alone, but the second is only right for the first half."""

    def forward(self, batch):
        present = batch["present"].float()
        logits = present[:, :1] * batch["a"] + 0.1 * present[:, 1:] * batch["b"]
        return ClassifierOutput(logits)


def greys(*levels: int) -> Dataset:
    image = torch.tensor(levels, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 8, 8)
    return Dataset({"image": image, "label": torch.tensor([int(x > 127) for x in levels])})


def test_a_curve_counts():
    curve = line(1.0, 0.5, 0.5, 0.25)
    assert curve.accuracy.tolist() == [1.0, 0.5, 0.5, 0.25]
    assert curve.falls()
    assert not line(0.5, 0.6).falls()
    assert line(0.5, 0.6).falls(slack=0.11)
    interval = curve.intervals()[1]
    assert interval.low < interval.estimate == 0.5 < interval.high


def test_brightness_fools_a_light_meter_from_the_severity_on_that_it_must():
    # 0.1 * severity is added: 0.25 crosses one half at 3, 0.45 at 1
    data = greys(64, 115, 200)
    curve = severity_curve(Brightness(), data, "brightness")
    assert curve.levels == (0, 1, 2, 3, 4, 5)
    assert curve.correct.int().T.tolist() == [[1, 1, 1, 0, 0, 0], [1, 0, 0, 0, 0, 0], [1] * 6]


def test_an_attack_breaks_a_light_meter_at_the_radius_that_it_must():
    data = greys(102, 51, 204)  # 0.4, 0.2, 0.8: margins 0.1, 0.3, 0.3
    for attack in (fgsm, None):
        options = {} if attack is None else {"attack": attack}
        curve = attack_curve(Brightness(), data, (0.0, 0.09, 0.11, 0.29, 0.31), **options)
        assert curve.correct.int().sum(dim=1).tolist() == [3, 3, 2, 2, 0]
        assert curve.falls()


def test_a_linear_model_falls_as_its_closed_form_says():
    torch.manual_seed(0)
    model = Linear(torch.randn(2, 12))
    image = (255 * (0.4 + 0.2 * torch.rand(200, 3, 2, 2))).to(torch.uint8)
    with torch.no_grad():
        logits = model({"image": image.float() / 255}).logits
    label = logits.argmax(dim=1)
    data = Dataset({"image": image, "label": label})
    distance = (logits[:, 0] - logits[:, 1]).abs() / (model.weight[0] - model.weight[1]).norm(p=1)
    radii = (0.0, 0.01, 0.03, 0.1)
    curve = attack_curve(model, data, radii)
    expected = torch.stack([distance > radius for radius in radii])
    assert (curve.correct != expected).sum() <= 1  # on the edge


def test_missing_modalities():
    label = torch.tensor([0, 1] * 50)
    right = nn.functional.one_hot(label, 2).float()
    b = torch.where(torch.arange(100).unsqueeze(1) < 50, right, 1 - right)
    data = Dataset({"a": right, "b": b, "label": label})
    without_a = missing_curve(Either(), data, 0)
    assert without_a.correct[0].all()
    assert torch.equal(without_a.correct[-1], torch.arange(100) < 50)
    assert without_a.falls()
    gone = ~without_a.correct
    assert (gone[1:] | ~gone[:-1]).all()  # whoever lacked it lacks it still
    assert missing_curve(Either(), data, 1).correct.all()
    with pytest.raises(ValueError, match="modality must be 0 or 1"):
        missing_curve(Either(), data, 2)


def test_corruption_errors_by_hand():
    model = {"blur": line(0.9, 0.8, 0.6), "noise": line(0.9, 0.7, 0.5)}
    baseline = {"blur": line(0.8, 0.6, 0.4), "noise": line(0.8, 0.6, 0.4)}
    found = corruption_error(model, baseline)
    assert found == pytest.approx({"blur": 0.6 / 1.0, "noise": 0.8 / 1.0, "mean": 0.7})
    found = corruption_error(model, baseline, relative=True)
    assert found == pytest.approx({"blur": 0.4 / 0.6, "noise": 0.6 / 0.6, "mean": 5 / 6})
    assert corruption_error(model, model)["mean"] == 1


def test_effective_robustness_by_hand():
    # log odds of 0.5, 0.8, 0.9: 0, 1.386, 2.197; the shift halves the odds: slope 1
    x = torch.tensor([0.5, 0.8, 0.9], dtype=torch.float64)
    odds = x / (1 - x) / 2
    y = odds / (1 + odds)
    line = trend(x, y)
    assert line.slope == pytest.approx(1.0)
    assert line.intercept == pytest.approx(-0.6931, abs=1e-4)
    assert effective_robustness(0.8, 2 / 3, line) == pytest.approx(0.0)  # odds 4 become 2
    assert effective_robustness(0.8, 0.75, line) == pytest.approx(0.75 - 2 / 3)
    assert effective_robustness(0.95, (19 / 2) / (1 + 19 / 2), line) == pytest.approx(0.0)
    assert trend([1.0, 0.5], [0.9, 0.5]).slope > 0  # an accuracy of 1 has no odds


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match="got blur and noise"):
        corruption_error({"blur": line(1, 1)}, {"noise": line(1, 1)})
    with pytest.raises(ValueError, match="levels of 'blur'"):
        corruption_error({"blur": line(1, 1)}, {"blur": line(1, 1, 1)})
    with pytest.raises(ValueError, match="baseline must lose something to 'blur'"):
        corruption_error({"blur": line(1, 1)}, {"blur": line(1, 1)})
    with pytest.raises(ValueError, match="accuracy must"):
        trend([0.5], [0.5])
