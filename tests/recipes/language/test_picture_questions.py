"""The second stage, with a tiny Llama in the place of SmolLM2 and few pictures."""

from collections import Counter

import pytest
import torch

from mmtutor.data import Dataset
from mmtutor.recipes.language import picture_questions
from mmtutor.recipes.language.picture_questions import WHAT, WORDS, Config, questions, restored
from mmtutor.recipes.language.sighted import Sighted
from mmtutor.training.adapters import LoRALinear

pytestmark = pytest.mark.usefixtures("small_llama")


@pytest.fixture
def aligned(monkeypatch):
    """What a first stage is said to have stored: a projector to 2 x 2 visual tokens."""
    torch.manual_seed(7)
    weights = {name: torch.randn_like(p) / 10 for name, p in Sighted(2).learned().items()}
    kept = {"pictures": weights}
    monkeypatch.setattr(picture_questions, "load_weights", kept.__getitem__)
    stored = [{"config": {"grid": 2}}]
    monkeypatch.setattr(picture_questions, "load_stored", lambda name: stored)
    return kept


def test_a_run_measures_what_it_says_and_keeps_projector_and_lora(aligned):
    result = picture_questions.run(Config.preset("tiny"), progress=False)
    assert result.metrics["described"].keys() == {"held_out", "both", "style"}
    assert result.metrics["pope"].keys() == {"random", "popular", "adversarial"}
    for found in result.metrics["pope"].values():
        assert 0 <= found["interval"]["low"] <= found["accuracy"] <= found["interval"]["high"] <= 1
    assert result.metrics["grey"].keys() == {WHAT, WORDS}
    assert {key.split("/")[-1] for key in result.model} == {"A", "B", "weight", "bias"}


def test_what_was_stored_answers_again(aligned):
    taught = restored("pictures", rank=2)
    with torch.no_grad():
        for value in taught.learned().values():
            value += torch.randn_like(value)
    aligned["asked"] = {key: value.detach() for key, value in taught.learned().items()}
    again, image = restored("asked"), torch.rand(5, 4, 1280)
    assert again.answer(image, WHAT) == taught.answer(image, WHAT)
    assert again.answer(image, WHAT) != restored("pictures").answer(image, WHAT)
    ranks = {layer.rank for layer in again.model.modules() if isinstance(layer, LoRALinear)}
    assert ranks == {2}


def test_new_lora_changes_nothing_at_first(aligned):
    image = torch.rand(5, 4, 1280)
    assert restored("pictures", rank=4).answer(image) == restored("pictures").answer(image)


def test_questions_are_true_and_their_words_do_not_tell_the_answer():
    names = [f"thing{i}" for i in range(12)]
    words = [[f"old{i}", f"new{i}"] for i in range(12)]
    image = torch.arange(12.0).reshape(12, 1, 1)
    asked = questions(Dataset({"image": image, "answer": names, "keywords": words}), 6_000, 0)
    said, told = Counter(), Counter()
    for row, question, answer in zip(
        asked.column("image").flatten().long().tolist(),
        asked.column("question"),
        asked.column("answer"),
        strict=True,
    ):
        if question == WHAT:
            assert answer == names[row]
        elif question == WORDS:
            assert sorted(answer.split(", ")) == sorted(words[row])
        else:
            thing = question.split()[3]
            assert (answer == "yes") == (thing in (names[row], *words[row]))
            told[thing, answer] += 1
        said[question if question in (WHAT, WORDS) else "there"] += 1
    assert said == {WHAT: 2_000, WORDS: 2_000, "there": 2_000}
    for thing in (word for pair in words for word in pair):
        share = told[thing, "yes"] / (told[thing, "yes"] + told[thing, "no"])
        assert share == pytest.approx(13 / 24, abs=0.2)


def test_a_picture_without_keywords_is_only_named():
    bare = Dataset({"image": torch.zeros(1, 1, 1), "answer": ["cat"], "keywords": [[]]})
    assert set(questions(bare, 9, 0).column("question")) == {WHAT}
