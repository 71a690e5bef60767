"""Scores of doubt by hand, and centres against every possible choice."""

from itertools import combinations

import numpy as np
import pytest
import torch

from mmtutor.training.few_labels import k_centre, uncertainty


def test_doubt_by_hand():
    p = torch.tensor([[0.5, 0.3, 0.2], [0.9, 0.1, 0.0], [1.0, 0.0, 0.0]], dtype=torch.float64)
    assert uncertainty(p, "least confident").tolist() == pytest.approx([0.5, 0.1, 0.0])
    assert uncertainty(p, "margin").tolist() == pytest.approx([0.8, 0.2, 0.0])
    by_hand = [-sum(x * np.log(x) for x in row if x) for row in p.tolist()]
    assert uncertainty(p).tolist() == pytest.approx(by_hand)


def test_the_three_kinds_disagree_where_many_classes_share_the_rest():
    p = torch.tensor([[0.5, 0.5, 0.0, 0.0], [0.46, 0.18, 0.18, 0.18]])
    asked = {k: int(uncertainty(p, k).argmax()) for k in ("least confident", "margin", "entropy")}
    assert asked == {"least confident": 1, "margin": 0, "entropy": 1}


def radius(points, centres):
    return torch.cdist(points, points[list(centres)]).amin(dim=1).max().item()


@pytest.mark.parametrize("seed", range(5))
def test_centres_are_those_of_a_plain_loop_and_within_twice_the_best_choice(seed):
    points = torch.randn(11, 2, generator=torch.Generator().manual_seed(seed)).double()
    start = [3]
    found = k_centre(points, 3, torch.tensor(start)).tolist()
    plain = list(start)
    for _ in range(3):
        nearest = [min((a - points[c]).norm().item() for c in plain) for a in points]
        plain.append(int(np.argmax(nearest)))
    assert found == plain[1:]
    free = [i for i in range(11) if i not in start]
    best = min(radius(points, [*start, *more]) for more in combinations(free, 3))
    assert best <= radius(points, start + found) <= 2 * best


def test_no_centre_is_chosen_twice_even_among_equal_points():
    found = k_centre(torch.zeros(5, 2), 4, torch.tensor([1]))
    assert sorted(found.tolist()) == [0, 2, 3, 4]
    with pytest.raises(ValueError, match="at most 4, the points that are no centre, got 5"):
        k_centre(torch.zeros(5, 2), 5, torch.tensor([1]))
