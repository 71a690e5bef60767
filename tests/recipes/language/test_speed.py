"""A speed run of seconds: it ends where the target is reached, or when the texts are used up."""

from dataclasses import replace

import pytest

from mmtutor.recipes.language import speed

TINY = speed.Config.preset("tiny")


def test_it_stops_when_the_target_is_reached_and_not_before():
    config = replace(TINY, every=10)
    found = speed.run(config, progress=False)
    assert found.metrics["reached"] is True
    assert found.metrics["bits_per_byte"] <= config.target
    steps = found.metrics["steps"]
    assert steps == len(found.history.loss)
    assert steps % 10 == 0
    assert 0 < found.metrics["seconds"] == found.history.seconds
    harder = speed.run(replace(config, target=found.metrics["bits_per_byte"] - 0.1), progress=False)
    assert harder.metrics["steps"] > steps
    assert harder.history.loss[:steps] == pytest.approx(found.history.loss)


def test_a_target_out_of_reach_ends_with_the_texts():
    metrics = speed.run(replace(TINY, target=0.1, epochs=1), progress=False).metrics
    assert metrics["reached"] is False
    assert metrics["bits_per_byte"] > 0.1
