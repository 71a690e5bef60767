"""One change at a time, at a size of seconds."""

from dataclasses import replace

import pytest

from mmtutor.recipes.language import changes, gpt

TINY = changes.Config.preset("tiny")


def test_each_change_is_trained_as_the_recipe_gpt_would():
    metrics = changes.run(TINY, progress=False).metrics
    assert list(metrics) == ["GPT-2", "Llama"]
    base = {name: getattr(TINY, name) for name in gpt.Config.__dataclass_fields__}
    for name, found in metrics.items():
        alone = gpt.run(gpt.Config(**base | changes.CHANGES[name]), progress=False).metrics
        assert found["bits_per_byte"] == pytest.approx(alone["bits_per_byte"]["estimate"])
        assert found["parameters"] == alone["parameters"]
        assert found["seconds"] > 0


def test_every_change_makes_another_model():
    models = {repr(replace(TINY, **change)) for change in changes.CHANGES.values()}
    assert len(models) == len(changes.CHANGES)
