"""The ways of a picture into a language model, at a size of seconds."""

import pytest

from mmtutor.recipes.language import vlm, ways

TINY = ways.Config.preset("tiny")


def test_each_way_is_trained_as_the_recipe_vlm_would():
    metrics = ways.run(TINY, progress=False).metrics
    assert list(metrics) == ["gated", "stream"]
    assert [found["vectors"] for found in metrics.values()] == [0, 36]
    shared = {name: getattr(TINY, name) for name in vlm.Config.__dataclass_fields__}
    for way, found in metrics.items():
        alone = vlm.run(vlm.Config(**shared | {"way": way}), progress=False).metrics
        assert found.pop("examples_per_cpu_second") > 0 < alone.pop("examples_per_cpu_second")
        assert found == alone


def test_every_way_is_compared_and_no_other():
    assert ways.Config().ways == tuple(vlm.BLOCKS)
    with pytest.raises(ValueError, match="ways"):
        ways.Config(ways=("linear", "telepathy"))
