"""The law against points that follow it, and the recipe at a size of seconds."""

from dataclasses import replace

import pytest

from mmtutor.recipes.language import scaling
from mmtutor.recipes.language.scaling import Law, law

TINY = scaling.Config.preset("tiny")
SIZES = [10_000, 50_000, 200_000, 400_000, 1_000_000]


@pytest.mark.parametrize("truth", [Law(1.2, 30.0, 0.4), Law(0.0, 5.0, 0.07)])
def test_the_law_is_found_in_points_that_follow_it(truth):
    losses = [truth.at(n) for n in SIZES]
    assert law(SIZES, losses, truth.floor) == pytest.approx(truth, rel=1e-4)
    free = law(SIZES, losses)
    assert free.at(3_000) == pytest.approx(truth.at(3_000), rel=1e-3)
    assert free == pytest.approx(truth, rel=0.02, abs=0.02)


def test_too_few_models_are_refused():
    with pytest.raises(ValueError, match="at least 4, got 3"):
        law(SIZES[:3], [3.0, 2.0, 1.5])
    law(SIZES[:3], [3.0, 2.0, 1.5], floor=0.5)


def test_each_size_is_trained_and_the_law_is_that_of_their_scores():
    metrics = scaling.run(TINY, progress=False).metrics
    sizes = [model["parameters"] for model in metrics["models"]]
    scores = [model["bits_per_byte"] for model in metrics["models"]]
    assert sizes[0] == 4 * 16**2 + 3 * 16 * 42 + 2 * 16  # attention, perceptron, two gains
    assert sizes == sorted(sizes)
    found = {name: interval["estimate"] for name, interval in metrics["law"].items()}
    assert Law(**found) == pytest.approx(law(sizes, scores))
    assert all(x["low"] <= x["estimate"] <= x["high"] for x in metrics["law"].values())
    assert scores[-1] < scores[0] - 0.1
    for model in metrics["models"]:
        course = model["course"]
        assert course["bits_per_byte"][-1] < course["bits_per_byte"][0]
        assert TINY.train / 2 < course["tokens"][-1] < TINY.train  # pieces of one to two bytes


def test_sizes_that_heads_do_not_divide_are_refused():
    with pytest.raises(ValueError, match="expected multiples of 16"):
        replace(TINY, dims=(16, 24))
