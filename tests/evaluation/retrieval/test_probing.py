"""Winoground and POPE: against a loop anyone can read, and against chance."""

from __future__ import annotations

import pytest
import torch

from mmtutor.evaluation.retrieval.probing import WINOGROUND_CHANCE, pope, winoground
from mmtutor.evaluation.statistics.differential import random_case


def by_the_paper(s):
    """`s[i][c]` of picture i and caption c."""
    text = s[0][0] > s[0][1] and s[1][1] > s[1][0]
    image = s[0][0] > s[1][0] and s[1][1] > s[0][1]
    return [text, image, text and image]


def test_winoground_equals_the_papers_rule_on_a_thousand_cases():
    scores = torch.randint(4, (1000, 2, 2), generator=torch.Generator().manual_seed(0)).float()
    expected = [by_the_paper(s) for s in scores.tolist()]
    assert torch.stack(winoground(scores), 1).tolist() == expected
    assert 0 < sum(map(sum, expected)) < 3000


def test_chance_is_what_it_is_said_to_be():
    scores = torch.rand(60_000, 2, 2, generator=torch.Generator().manual_seed(0))
    for name, solved in winoground(scores)._asdict().items():
        assert solved.double().mean().item() == pytest.approx(WINOGROUND_CHANCE[name], abs=0.006)


def test_ties_are_failures():
    assert not any(bool(value) for value in winoground(torch.ones(1, 2, 2)))


def test_pope_equals_counting_by_hand_on_a_thousand_cases():
    for seed in range(1000):
        case = random_case(seed)
        present, said = case.positive.tolist(), (case.score > 0.5).tolist()
        both = sum(p and s for p, s in zip(present, said, strict=True))
        precision = both / sum(said) if any(said) else 0
        recall = both / sum(present)
        f1 = 2 * precision * recall / (precision + recall) if both else 0
        right = sum(p == s for p, s in zip(present, said, strict=True)) / len(said)
        expected = right, precision, recall, f1, sum(said) / len(said)
        found = pope(torch.tensor(said), torch.tensor(present))
        assert found == pytest.approx(expected, abs=1e-12)


def test_pope_of_those_who_always_say_the_same():
    present = torch.tensor([True, False])
    assert pope(torch.tensor([True, True]), present) == pytest.approx((0.5, 0.5, 1, 2 / 3, 1))
    assert pope(torch.tensor([False, False]), present) == pytest.approx((0.5, 0, 0, 0, 0))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: winoground(torch.ones(2, 2)), r"\(N, 2, 2\)"),
        (lambda: winoground(torch.ones(0, 2, 2)), r"\(0, 2, 2\)"),
        (lambda: winoground(torch.full((1, 2, 2), torch.nan)), "finite, got nan"),
        (lambda: pope(torch.ones(2), torch.ones(2) > 0), "True or False"),
        (lambda: pope(torch.ones(0) > 0, torch.ones(0) > 0), r"\(0,\)"),
    ],
)
def test_what_cannot_be_scored_is_an_error(call, says):
    with pytest.raises((ValueError, TypeError), match=says):
        call()
