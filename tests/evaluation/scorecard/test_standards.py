"""The standards: each statistic against its authority, and models whose card is known."""

from dataclasses import replace

import pytest
import torch
from sklearn.metrics import f1_score
from torch import nn

from mmtutor.data import Dataset
from mmtutor.evaluation.classification.calibration import expected_calibration_error, top_label
from mmtutor.evaluation.predict import Predictions
from mmtutor.evaluation.scorecard import standards
from mmtutor.evaluation.scorecard.grading import _chosen
from mmtutor.evaluation.scorecard.standards import kept, scorecard
from mmtutor.evaluation.scorecard.suite import EvaluationSuite
from mmtutor.evaluation.statistics.bootstrap import bootstrap_weights
from mmtutor.models import ClassifierOutput

COLOURS = torch.eye(3)  # red, green, blue


def predictions(n=80, classes=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(n, classes, generator=generator)
    return Predictions(logits, torch.randint(classes, (n,), generator=generator))


@pytest.mark.parametrize("seed", range(4))
def test_accuracy_is_that_of_the_library_in_every_resample(seed):
    found, suite = predictions(seed=seed, classes=3 + seed), make_suite(80)
    cells = standards._accuracy(_chosen(found), suite)
    for r, weights in enumerate(torch.cat(list(bootstrap_weights(80, 20)))):
        rows = torch.arange(80).repeat_interleave(weights.long())  # the examples, one by one
        drawn = Predictions(found.logits[rows], found.label[rows])
        expected = {
            "accuracy": drawn.correct.double().mean().item(),
            "macro F1": f1_score(drawn.label, drawn.predicted, average="macro"),
            "calibration error": expected_calibration_error(*top_label(*drawn)),
        }
        assert {n: c.draws[r].item() for n, c in cells.items()} == pytest.approx(expected)


def test_what_is_kept_by_hand():
    before, after = torch.tensor([1, 1, 0, 1]) > 0, torch.tensor([1, 0, 1, 0]) > 0
    weights = torch.tensor([[1.0, 1, 1, 1], [2, 2, 0, 0], [0, 0, 4, 0]]).double()
    assert kept(before, after)(weights).tolist()[:2] == [1 / 3, 1 / 2]
    assert kept(before, after)(weights)[2].isnan()  # none was right before


class Sees(nn.Module):
    """Which of three colours the middle of a picture has; where word 1 is asked, the next one."""

    def __init__(self, look=1.0, listen=True):
        super().__init__()
        self.colours = nn.Linear(3, 3)
        self.look, self.listen = look, listen
        with torch.no_grad():
            self.colours.weight.copy_(4 * COLOURS)
            self.colours.bias.zero_()

    def forward(self, batch):
        logits = self.look * self.colours(batch["image"][:, :, 2:4, 2:4].mean(dim=(2, 3)))
        other = batch["tokens"][:, :1] == 3
        return ClassifierOutput(torch.where(other & self.listen, logits.roll(1, dims=1), logits))


def questions(n, colour, other):
    """Grey pictures with a coloured middle; token 3 asks for the colour after it."""
    image = torch.full((n, 3, 6, 6), 0.2)
    image[:, :, 2:4, 2:4] = COLOURS[colour][:, :, None, None]
    target = torch.zeros(n, 6, 6, dtype=torch.bool)
    target[:, 2:4, 2:4] = True
    return Dataset(
        {
            "image": image,
            "tokens": [torch.tensor([3 if o else 2]) for o in other.tolist()],
            "label": (colour + other) % 3,
            "domain": [str(o) for o in other.tolist()],
            "group": [str(c) for c in colour.tolist()],
            "target": target,
        }
    )


def make_suite(n=60):
    row = torch.arange(n)
    data = questions(n, row % 3, row // 3 % 2)
    return EvaluationSuite(
        data,
        ("image", "tokens"),
        domains=("domain",),
        sensitive=("group",),
        paraphrased=data,
        pairs=questions(n, row % 3, row // 2 % 2),
        corrupted={"black": data.with_column("image", torch.zeros(n, 3, 6, 6))},
        examined=30,
    )


def test_the_card_of_a_model_that_is_always_right():
    card = scorecard(Sees(), make_suite(), "right")
    assert " ".join(card.measures) == (
        "accuracy diversity consistency efficiency interpretability robustness fairness stability"
    )
    assert card.model == "right"
    ones = {
        "accuracy": ("accuracy", "macro F1"),
        "diversity": ("worst domain", "domains covered"),
        "consistency": ("paraphrases agree", "swap pairs right"),
        "interpretability": ("pointing game",),
        "robustness": ("attacked images",),
    }
    for standard, names in ones.items():
        for name in names:
            assert tuple(card[standard, name].interval) == (1, 1, 1), name
    assert card["fairness", "gap: group"].interval.estimate == 0
    assert card["robustness", "black"].interval.estimate == pytest.approx(1 / 3, abs=0.01)
    assert card["fairness", "least used modality"].interval.low > 0.2
    assert card["efficiency", "parameters"].interval.estimate == 12


def test_the_card_of_a_model_that_looks_at_nothing():
    card = scorecard(Sees(look=0.0), make_suite(), "blind")
    assert card["accuracy", "accuracy"].interval.estimate == pytest.approx(1 / 3, abs=0.01)
    assert card["consistency", "swap pairs right"].interval.high == 0
    assert card["consistency", "paraphrases agree"].interval.low == 1
    assert card["interpretability", "pointing game"].interval.high == 0
    assert card["fairness", "least used modality"].interval.estimate == 0
    assert card["diversity", "domains covered"].interval.estimate == 0


def test_a_model_that_reads_no_words_is_told_by_its_least_used_modality():
    card = scorecard(Sees(listen=False), make_suite())
    assert card["accuracy", "accuracy"].interval.estimate == 0.5
    assert card["diversity", "worst domain"].interval.estimate == 0
    assert card["diversity", "domains covered"].interval.estimate == 0.5
    assert card["fairness", "least used modality"].interval.estimate == 0


def test_a_group_that_is_served_badly_is_a_gap():
    class Unfair(Sees):
        def forward(self, batch):
            red = batch["image"][:, 0, 2, 2] == 1
            logits = super().forward(batch).logits
            return ClassifierOutput(torch.where(red[:, None], -logits, logits))

    card = scorecard(Unfair(), make_suite())
    assert card["fairness", "gap: group"].interval.estimate == 1
    assert card["accuracy", "accuracy"].interval.estimate == pytest.approx(2 / 3)


def test_an_attack_that_can_reach_the_answer_takes_it():
    card = scorecard(Sees(), replace(make_suite(), radius=0.6))
    assert card["robustness", "attacked images"].interval.estimate == 0


def test_a_model_keeps_its_mode_and_its_gradients():
    model = Sees().train()
    scorecard(model, make_suite())
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())


def test_questions_about_one_picture_rise_and_fall_together():
    suite = make_suite()
    data = suite.data.with_column("picture", torch.arange(60) // 3)
    together = replace(suite, data=data, pictures="picture")
    model = Sees(listen=False)  # right where the other colour is not asked for
    one, many = (scorecard(model, e, "deaf")["accuracy", "accuracy"] for e in (suite, together))
    assert one.interval.estimate == many.interval.estimate
    widths = [m.interval.high - m.interval.low for m in (one, many)]
    assert widths[1] > 1.4 * widths[0]
    share = many.draws * 20  # of twenty pictures, each wholly right or wrong
    torch.testing.assert_close(share, share.round())
