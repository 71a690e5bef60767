"""POPE and CHAIR, worked by hand."""

import pytest
import torch

from mmtutor.evaluation.generation import chair, mentions, pope_questions, says_yes
from mmtutor.evaluation.retrieval import pope
from mmtutor.evaluation.statistics.bootstrap import bootstrap_statistic

# Cups stand with spoons, and in most pictures; a moon stands only with a star.
OBJECTS = [
    ["cup", "spoon"],
    ["cup", "spoon"],
    ["cup", "plate"],
    ["spoon"],
    ["star", "moon"],
    ["star", "cup"],
]


@pytest.mark.parametrize("how", ["random", "popular", "adversarial"])
def test_half_of_the_questions_ask_for_what_is_there(how):
    questions = pope_questions(OBJECTS, how, each=2, seed=3)
    for image, shown in enumerate(OBJECTS):
        mine = [each for each in questions if each.image == image]
        there = [each.object for each in mine if each.present]
        others = [each.object for each in mine if not each.present]
        assert set(there) <= set(shown)
        assert not set(others) & set(shown)
        assert len(there) == len(others) == len(set(there)) == len(set(others)) == len(shown)
    assert pope_questions(OBJECTS, how, each=2, seed=3) == questions
    assert questions[0].text == f"Is there a {questions[0].object} in the picture?"


def absent(how, image, seeds=1, each=1):
    found = [pope_questions(OBJECTS, how, each, seed) for seed in range(seeds)]
    return {q.object for some in found for q in some if q.image == image and not q.present}


def test_what_is_absent_is_drawn_as_it_is_called():
    assert absent("random", 3, seeds=40) == {"cup", "plate", "star", "moon"}
    assert absent("popular", 4) == {"cup"}  # in four of six pictures
    assert absent("popular", 5) == {"spoon"}
    assert absent("adversarial", 3) == {"cup"}  # twice beside a spoon
    assert absent("adversarial", 4) == {"cup"}  # once beside a star
    assert absent("adversarial", 0, seeds=40) == {"plate", "star"}  # once each beside a cup
    assert absent("popular", 0) == {"star"}  # the next most frequent, beside nothing here or not


def test_a_picture_of_everything_or_of_nothing_is_not_asked_about():
    questions = pope_questions([["a", "b"], [], ["a"]], "random")
    assert {each.image for each in questions} == {2}
    assert questions[0].text == "Is there an a in the picture?"


def test_weights_count_questions_several_times():
    answers, truth = torch.tensor([1, 1, 0]), torch.tensor([1, 0, 1])
    twice = [0, 0, 1, 2]
    weights = torch.tensor([[2.0, 1, 1], [1, 1, 1]])
    assert pope(answers, truth, weights[0]) == pope(answers[twice], truth[twice])
    both = pope(answers, truth, weights)
    assert both.f1.tolist() == pytest.approx([4 / 6, 2 / 4])
    interval = bootstrap_statistic(lambda w: pope(answers, truth, w).accuracy, 3, 200)
    assert interval.estimate == pytest.approx(1 / 3)
    assert interval.low < 1 / 3 < interval.high


def test_answers_mean_yes_unless_they_deny():
    said = {
        "Yes.": True,
        "yes, no doubt": False,
        "There isn't one. Yes": False,
        "There is a cup. No spoon.": True,
        "NO": False,
        "THERE ISN'T": False,
        "There isn\u2019t a cup": False,
        "a knot": True,
        "": True,
    }
    assert says_yes(list(said)).tolist() == list(said.values())


SYNONYMS = {"dog": ["puppy"], "hot dog": [], "glass": [], "traffic light": ["signal"]}


def test_objects_are_found_by_their_words_the_longest_first():
    captions = ["A dog, two puppies and 3 dogs", "Hot dogs!", "Glasses; a SIGNAL", "doge traffic"]
    synonyms = SYNONYMS | {"dog": ["puppy", "puppies"]}
    found = [["dog", "dog", "dog"], ["hot dog"], ["glass", "traffic light"], []]
    assert mentions(captions, synonyms) == found


def test_an_object_s_own_name_is_nobody_else_s_plural_or_synonym():
    synonyms = {"glass": ["cup"], "glasses": [], "dog": ["puppy"], "puppy": []}
    found = mentions(["glasses on a glass, cups", "a puppy", "two dogs"], synonyms)
    assert found == [["glasses", "glass", "glass"], ["puppy"], ["dog"]]


def test_chair_by_hand():
    mentioned = [["dog", "dog", "cat"], ["cup"], []]
    objects = [["dog", "tree"], ["cup"], ["sun"]]
    found = chair(mentioned, objects)
    assert found.instances == pytest.approx(1 / 4)
    assert found.sentences == pytest.approx(1 / 3)
    assert found.covered == pytest.approx(2 / 4)
    weighted = chair(mentioned, objects, torch.tensor([[0.0, 1, 1], [2, 1, 0]]))
    assert weighted.instances.tolist() == pytest.approx([0, 2 / 7])
    assert weighted.sentences.tolist() == pytest.approx([0, 2 / 3])
    assert weighted.covered.tolist() == pytest.approx([1 / 2, 3 / 5])
    assert chair([[]], [[]]) == (0, 0, 0)


def test_bad_input_gets_a_sentence():
    with pytest.raises(ValueError, match="how must be 'random', 'popular' or 'adversarial'"):
        pope_questions(OBJECTS, "unusual")
    with pytest.raises(TypeError, match=r"objects\[0\] must be a list"):
        pope_questions(["cup"], "random")
    with pytest.raises(ValueError, match="mentioned and objects must be as long"):
        chair([["cup"]], [["cup"], ["cup"]])
    with pytest.raises(ValueError, match=r"synonyms\['dog'\] must be words, got '!'"):
        mentions(["a dog"], {"dog": ["!"]})
