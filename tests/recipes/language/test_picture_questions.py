"""Questions about pictures that resemble others, with a tiny Llama in the place of SmolLM2."""

from collections import Counter
from dataclasses import asdict, replace

import pytest
import torch

from mmtutor.data import Dataset
from mmtutor.recipes.language import picture_questions
from mmtutor.recipes.language.memory import Memory
from mmtutor.recipes.language.picture_questions import (
    WHAT,
    WORDS,
    Config,
    put,
    questions,
    restored,
    with_memory,
)
from mmtutor.recipes.language.pictures import pictures
from mmtutor.recipes.language.sighted import Sighted
from mmtutor.training.adapters import LoRALinear

pytestmark = pytest.mark.usefixtures("small_llama")
TINY = Config.preset("tiny")


@pytest.fixture
def ran(monkeypatch):
    """A tiny run: its result, its model, and what is stored from now on."""
    made, learned = [], picture_questions._learned
    monkeypatch.setattr(picture_questions, "_learned", lambda x: made.append(x) or learned(x))
    result = picture_questions.run(TINY, progress=False)
    torch.manual_seed(7)
    aligned = {name: torch.randn_like(p) / 10 for name, p in Sighted(2).learned().items()}
    kept = {"pictures": (aligned, {"grid": 2})}
    kept["picture-questions"] = ({k: v.detach() for k, v in result.model.items()}, asdict(TINY))
    monkeypatch.setattr(picture_questions, "load_weights", lambda name: dict(kept[name][0]))
    monkeypatch.setattr(picture_questions, "load_stored", lambda name: [{"config": kept[name][1]}])
    return result, made[0].model.eval() and made[0]


def test_a_run_measures_what_it_says_and_keeps_projector_lora_and_memory(ran):
    result, sighted = ran
    ways = {"seen", "permuted", "blind", "nearest", "recalled", "more", "examples"}
    for part in ("held_out", "both", "style"):
        assert result.metrics["described"][part].keys() == ways
    assert result.metrics["pope"].keys() == {"random", "popular", "adversarial"}
    for found in result.metrics["pope"].values():
        assert 0 <= found["interval"]["low"] <= found["accuracy"] <= found["interval"]["high"] <= 1
    assert result.metrics["grey"].keys() == {WHAT, WORDS}
    ends = {key.split("/")[-1] for key in result.model}
    assert ends == {"A", "B", "weight", "bias", "mean", "axes", "vectors"}
    assert len(sighted.memory.names) == 3 * TINY.limit, "emoji in three styles, no clip art"


def test_what_was_stored_answers_again(ran):
    _, sighted = ran
    again, image = restored(), torch.rand(5, 4, 1280)
    assert again.memory.names == sighted.memory.names
    assert again.memory.recall(image) == sighted.memory.recall(image)
    assert again.answer(image, WHAT) == sighted.answer(image, WHAT)
    ranks = {layer.rank for layer in again.model.modules() if isinstance(layer, LoRALinear)}
    assert ranks == {TINY.rank}
    put(again, {key: value + 1 for key, value in again.learned().items()})
    assert again.answer(image, WHAT) != sighted.answer(image, WHAT)
    alone = restored("pictures")
    assert alone.memory is None
    assert alone.learned().keys() < again.learned().keys()


def test_an_answer_is_to_what_is_recalled_of_the_picture_or_of_another(ran):
    _, sighted = ran
    image = torch.rand(5, 4, 1280)
    told = sighted.memory.recall(image)
    assert sighted.answer(image, WHAT, recalled=told) == sighted.answer(image, WHAT)
    asked = []
    sighted._ask = lambda text, ask=sighted._ask: asked.append(text) or ask(text)
    sighted.answer(image, WHAT, recalled=told[::-1])
    assert asked == [f"Like: {each}. {WHAT}" for each in told[::-1]]


def test_in_training_a_picture_never_recalls_itself_nor_half_of_the_time_its_group():
    random = torch.Generator().manual_seed(0)
    image, rows = torch.rand(60, 2, 8, generator=random), torch.arange(60)
    image[1::2] = image[::2] + 0.01 * torch.rand(30, 2, 8, generator=random)  # alike in pairs
    names = [f"n{i}" for i in range(60)]
    memory = Memory.of(names, [[]] * 60, image, 8)
    asked = Dataset({"image": image, "question": [WHAT] * 60, "row": rows})
    found = with_memory(asked, memory, rows // 2, rows, seed=0).column("question")
    told = [text.removeprefix("Like: ").removesuffix(f". {WHAT}").split(", ") for text in found]
    assert all(names[i] not in each for i, each in enumerate(told))
    twin = [names[i ^ 1] for i in range(60)]
    first = sum(each[0] == other for each, other in zip(told, twin, strict=True))
    anywhere = sum(other in each for each, other in zip(told, twin, strict=True))
    assert first == anywhere
    assert 18 <= first <= 42


def test_stamps_are_named_by_models_that_saw_nothing_like_them(ran, monkeypatch):
    said, groups, score = {}, [], picture_questions.name_scores

    def scored(texts, names, group):
        said.update(texts, names=names)
        groups.extend(group.tolist())
        return score(texts, names, group)

    monkeypatch.setattr(picture_questions, "name_scores", scored)

    def told(self, image, *_, **__):
        return [f"{x.double().sum():.4f}" for x in image]

    monkeypatch.setattr(Sighted, "answer", told)
    config = replace(TINY, data="stamps", limit=40)
    metrics = picture_questions.run(config, progress=False).metrics
    assert metrics.keys() == {"seen", "permuted", "nearest", "more", "examples"}
    of = {}
    for name, group in zip(said["names"], groups, strict=True):
        of.setdefault(name, set()).add(group)
    assert all(group not in of[text] for text, group in zip(said["nearest"], groups, strict=True))
    shown = pictures(restored("pictures"), "stamps", "all", limit=40)
    assert said["seen"] == told(None, shown.column("image"))
    assert sorted(said["permuted"]) == sorted(said["seen"])
    assert all(a != b for a, b in zip(said["permuted"], said["seen"], strict=True))


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
    assert said == {WHAT: 3_000, WORDS: 1_500, "there": 1_500}
    for thing in (word for pair in words for word in pair):
        share = told[thing, "yes"] / (told[thing, "yes"] + told[thing, "no"])
        assert share == pytest.approx(13 / 24, abs=0.2)


def test_a_picture_without_keywords_is_only_named():
    bare = Dataset({"image": torch.zeros(1, 1, 1), "answer": ["cat"], "keywords": [[]]})
    assert set(questions(bare, 9, 0).column("question")) == {WHAT}
