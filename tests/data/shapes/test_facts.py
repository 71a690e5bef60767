import torch

from mmtutor.data import load
from mmtutor.data.shapes.facts import fact_score, facts_of, facts_said
from mmtutor.data.shapes.scene import scenes


def test_captions_say_what_is_in_their_scenes():
    for most in (1, 2, 3):
        truth = facts_of(scenes("val", 1_000, max_objects=most))
        captions = load("shapes", "val", n=1_000, size=32, max_objects=most).column("caption")
        assert [facts_said(caption) for caption in captions] == truth


def test_a_caption_by_hand():
    said = facts_said("a small red circle is to the right of a large blue ring")
    expected = {"circle", "circle red", "circle small", "ring", "ring blue", "ring large"}
    assert said == {tuple(fact.split()) for fact in expected} | {("ring", "left of", "circle")}
    assert facts_said("a ring in the middle of the left column") == {
        ("ring",),
        ("ring", "middle left"),
    }
    assert facts_said("a dog on the grass") == frozenset()
    assert facts_said("a circle above") == {("circle",)}


def test_foils_are_false():
    data, scene = load("shapes", "val", n=1_000, size=32), scenes("val", 1_000)
    two = torch.from_numpy(scene.count == 2) & (
        data.column("shape")[:, 0] != data.column("shape")[:, 1]
    )
    score = fact_score(data.column("foil"), facts_of(scene))
    assert (score.f1[two] == 5 / 7).all()  # both colours are wrong
    assert (fact_score(data.column("caption"), facts_of(scene)).f1 == 1).all()


def test_scores_by_hand():
    truth = [facts_said("a small red circle above a large blue ring")] * 3
    score = fact_score(["a red circle", "a green circle", "nothing"], truth)
    assert score.precision.tolist() == [1, 0.5, 0]
    assert torch.allclose(score.recall, torch.tensor([2, 1, 0]).double() / 7)
    assert torch.allclose(score.f1, torch.tensor([4 / 9, 2 / 9, 0]).double())
