"""The grid of `shapes`: what stands where, and what a question means by it."""

import pytest
import torch

from mmtutor.data import Dataset, load
from mmtutor.data.shapes import questions as shapes_questions
from mmtutor.data.shapes.questions.dataset import TYPES
from mmtutor.data.shapes.questions.forms import DESCRIPTORS, MENTIONS_TWO
from mmtutor.models.grid_detector import ATTRIBUTES
from mmtutor.recipes.vqa.cells import attention_target, cells


def pictures(n: int, split: str = "train") -> Dataset:
    return load("shapes-questions", split, n=n, size=48, seed=3)


def test_cells_are_what_a_loop_over_objects_finds():
    data = pictures(200)
    expected = torch.zeros(200, 9, 3, dtype=torch.int64)
    for n in range(200):
        for k in range(int(data.column("count")[n])):
            place = data.column("position")[n, k]
            expected[n, place] = torch.stack([data.column(kind)[n, k] + 1 for kind in ATTRIBUTES])
    assert cells(data).equal(expected)
    assert all(int(cells(data)[..., i].max()) < size for i, size in enumerate(ATTRIBUTES.values()))


@pytest.mark.parametrize("prior", ["balanced", "biased"])
def test_the_attention_target_is_what_a_loop_over_descriptions_finds(prior):
    n, seed = 300, 5
    asked, scene = shapes_questions.questions("train", n, seed, prior=prior)
    expected = torch.zeros(n, 2, 9)
    for i in range(n):
        mentioned = (asked.first[i], asked.second[i])[: 1 + int(MENTIONS_TWO[asked.form[i]])]
        for which, descriptor in enumerate(mentioned):
            for k in range(scene.count[i]):
                has = (scene.size[i, k], scene.colour[i, k], scene.shape[i, k])
                fits = all(a in (-1, b) for a, b in zip(DESCRIPTORS[descriptor], has, strict=True))
                expected[i, which, scene.position[i, k]] = float(fits)
    found = attention_target("train", n, seed, TYPES, prior)
    assert found.equal(expected)
    assert found[:, 1].any()


@pytest.mark.parametrize("types", [TYPES, ("query",)])
def test_the_attention_target_goes_with_the_questions_that_are_loaded(types):
    data = load("shapes-questions", "train", n=100, size=32, seed=2, types=types, prior="biased")
    either = attention_target("train", 100, 2, types, "biased").amax(dim=1) > 0  # [N, 9]
    asked, position = data.column("asked"), data.column("position")
    for n in range(100):
        assert set(either[n].nonzero().flatten().tolist()) == set(position[n][asked[n]].tolist())
