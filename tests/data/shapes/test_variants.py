import numpy as np
import pytest

from mmtutor.data.shapes.facts import fact_score, facts_of, facts_said
from mmtutor.data.shapes.scene import Scene, scenes
from mmtutor.data.shapes.variants import VARIANTS, variants, wordings


def two(n: int) -> Scene:
    """Scenes of two objects of different shape and colour."""
    scene = scenes("val", n)
    kept = (scene.count == 2) & (scene.shape[:, 0] != scene.shape[:, 1])
    return Scene(**{key: getattr(scene, key)[kept] for key in Scene.__dataclass_fields__})


def test_wordings_differ_and_say_the_same():
    scene = scenes("val", 300)
    for captions, truth in zip(wordings(scene), facts_of(scene), strict=True):
        assert len(set(captions)) == 6
        assert all(facts_said(caption) == truth for caption in captions)
    assert [some[:2] for some in wordings(scene)] == wordings(scene, 2)


def test_what_is_true_of_the_variants():
    scene = two(400)
    truth = facts_of(scene)
    found = {name: fact_score(said, truth) for name, said in variants(scene)}
    assert tuple(found) == VARIANTS
    for name in VARIANTS[:2]:
        assert (found[name].f1 == 1).all()
    assert (found["one half"].precision == 1).all()
    assert np.allclose(found["one half"].recall, 3 / 7)
    for name in ("wrong size", "wrong colour", "wrong side"):
        assert np.allclose(found[name].f1, 6 / 7)
    assert np.allclose(found["colours exchanged"].f1, 5 / 7)
    assert np.allclose(found["wrong shape"].f1, 3 / 7)
    assert found["another scene"].f1.mean() < 0.4


def test_other_scenes_are_refused():
    with pytest.raises(ValueError, match="two objects"):
        list(variants(scenes("val", 20)))
    with pytest.raises(ValueError, match="n must be 1, 2, 3, 4, 5 or 6, got 7"):
        wordings(scenes("val", 1), 7)
