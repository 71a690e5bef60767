import random
from collections import Counter

import pytest
import torch

from mmtutor.evaluation import vqa_accuracy
from mmtutor.evaluation.vqa.accuracy import (
    MEANT_WORDS,
    REFERENCE_WORDS,
    normalize_answer,
    pair_accuracy,
)
from tests.evaluation import vqa_rules

PLAIN = """
yes no red dog frisbee none zero two ten a an the 2 10 1,000 1.5 3. .5 p.m. 2:50 girl's left-hand
t-shirt and/or Im she's lets let's somebody'd somebodyd U.S.A. ½ ２ ٣ é İ 狗 红色 が ’twas don’t
1,00a 5,5,5
"""
WORDS = [*PLAIN.split(), *list(vqa_rules.MENDED)[::4], *list(vqa_rules.MENDED.values())[::9]]
NOISE = [*vqa_rules.MARKS, ".", ". ", "'", ":", " ", "\n", "\t", "\u00a0", "…", "." * 40, ""]


def decorated(text, draw):
    """The same answer as another person might have typed it."""
    if draw.random() < 0.5:
        other = {**vqa_rules.MENDED, **vqa_rules.DIGITS}
        text = " ".join(other.get(word, word) for word in text.split())
    for _ in range(draw.randrange(3)):
        place = draw.randrange(len(text) + 1)
        text = text[:place] + draw.choice(NOISE) + text[place:]
    text = (
        draw.choice(["", "", "a ", "The ", " an "])
        + text
        + draw.choice(["", "", "", ".", "!", " "])
    )
    return draw.choice([str, str, str.upper, str.capitalize])(text)


def case(draw):
    """One prediction and one to ten people's answers, some alike, some all the same."""
    answers = [" ".join(draw.choices(WORDS, k=draw.choice([0, 1, 1, 1, 2, 3]))) for _ in range(3)]
    people = draw.choices(answers, weights=[6, 3, 1], k=draw.choice([10, 10, 10, 10, 1, 3, 7]))
    if draw.random() < 0.2:
        people = [people[0]] * len(people)
    elif draw.random() < 0.7:
        people = [decorated(p, draw) if draw.random() < 0.4 else p for p in people]
    said = draw.choice(answers)
    return (decorated(said, draw) if draw.random() < 0.5 else said), people


@pytest.fixture(scope="module")
def cases():
    draw = random.Random(0)
    return [case(draw) for _ in range(10_000)]


def test_equals_the_published_rules_on_ten_thousand_questions(cases):
    expected = torch.tensor([vqa_rules.accuracy(*one) for one in cases], dtype=torch.float64)
    found = vqa_accuracy(*zip(*cases, strict=True))
    torch.testing.assert_close(found.per_question, expected, atol=1e-12, rtol=0)
    assert found.percent() == round(100 * expected.mean().item(), 2)


def test_the_cases_reach_every_rule(cases):
    scores = vqa_accuracy(*zip(*cases, strict=True)).per_question
    seen = Counter(round(score, 3) for score in scores.tolist())
    assert min(seen[score] for score in (0, 0.3, 0.6, 0.9, 1)) > 100
    unanimous = sum(len(set(people)) == 1 for _, people in cases)
    assert 1_500 < unanimous < 6_000
    meant = vqa_accuracy(*zip(*cases, strict=True), quirks=False).per_question
    assert (meant > scores).sum() > 100
    assert (meant < scores).sum() > 10
    for rule in (vqa_rules.punctuation, vqa_rules.digits_and_articles):
        changed = sum(rule(answer) != answer for _, people in cases for answer in set(people))
        assert changed > 2_000


def test_normalisation_equals_the_rules_on_every_answer(cases):
    for answer in {answer for said, people in cases for answer in (said, *people)}:
        plain = vqa_rules.punctuation(vqa_rules.plain(answer))
        assert normalize_answer(answer) == vqa_rules.digits_and_articles(plain), answer


def test_three_of_ten_are_not_quite_enough():
    people = [["yes"] * n + ["no"] * (10 - n) for n in range(11)]
    scores = vqa_accuracy(["yes"] * 11, people).per_question
    assert scores.tolist() == [0, 0.3, 0.6, 0.9, *[1] * 7]


def test_a_lone_annotator_leaves_nobody():
    assert vqa_accuracy(["yes"], [["yes"]]).mean == 0
    assert vqa_accuracy(["yes"], [["yes", "yes"]]).mean == pytest.approx(1 / 3)


def test_leaving_one_out_by_hand():
    counts = [(0, 1), (1, 2), (2, 3), (3, 5), (4, 5)]  # so many of so many people said "yes"
    by_hand = [0, 1 / 6, (2 * 1 + 2) / 9, (3 * 2 + 2 * 3) / 15, 1]
    people = [["yes"] * yes + ["no"] * (n - yes) for yes, n in counts]
    found = vqa_accuracy(["yes"] * 5, people)
    assert found.per_question.tolist() == pytest.approx(by_hand)
    weights = torch.tensor([0, 1, 0, 0, 3])
    weighted = vqa_accuracy(["yes"] * 5, people, weights=weights)
    assert weighted.per_question.equal(found.per_question)
    assert weighted.mean == pytest.approx((1 / 6 + 3) / 4)


def test_where_all_agree_nothing_is_normalised():
    ten = ["yes"] * 10
    assert vqa_accuracy(["Yes", "yes.", " yes\n"], [ten] * 3).per_question.tolist() == [0, 0, 1]
    assert vqa_accuracy(["Yes", "the yes."], [ten] * 2, quirks=False).mean == 1
    nine = ["yes"] * 9 + ["no"]
    assert vqa_accuracy(["Yes", "yes."], [nine] * 2).mean == 1


@pytest.mark.parametrize(
    ("answer", "reference", "meant"),
    [
        ("a-b - c", "ab c", "b c"),
        ("1,000 m/s", "1000 ms", "1000 m s"),
        ("yes,no", "yes no", "yes no"),
        ("none", "0", "none"),
        ("Ten dogs", "10 dogs", "10 dogs"),
        ("Im", "im", "i'm"),
        ("lets", "lets", "let's"),
        ("somebody'd", "somebodyd", "somebody'd"),
        ("dont", "don't", "don't"),
        ("hed've", "he'd've", "he'd've"),
        ("A", "", "a"),
        ("1.50 $.", "1.50 $", "1.50 $"),
        ("3.", "3", "3"),
        (".5", ".5", ".5"),
        ("2:50 p.m.", "2:50 pm", "2:50 pm"),
        ("." * 40, "." * 8, ""),
        ("girl's", "girl's", "girl's"),
        ("狗。", "狗。", "狗。"),
        ("", "", ""),
    ],
)
def test_oddities_of_the_reference_and_what_was_meant(answer, reference, meant):
    assert normalize_answer(answer) == reference
    assert normalize_answer(answer, quirks=False) == meant


def test_the_table_of_contractions_is_the_references_where_it_can_be_reached():
    reached = {key: value for key, value in vqa_rules.MENDED.items() if key == key.lower()}
    reached = {key: value for key, value in reached.items() if key != value}
    assert {**vqa_rules.DIGITS, **reached} == REFERENCE_WORDS
    assert set(MEANT_WORDS) == set(REFERENCE_WORDS) - {"none", "somebody'd"} | {
        *("im", "ive", "id've", "i'dve", "lets", "shes", "somebodyd")
    }


def test_wrong_input_is_named():
    with pytest.raises(
        ValueError, match=r"predictions and annotator_answers must be .* got 2 and 1"
    ):
        vqa_accuracy(["yes", "no"], [["yes"] * 10])
    with pytest.raises(ValueError, match=r"predictions and annotator_answers must be .* not empty"):
        vqa_accuracy([], [])
    with pytest.raises(ValueError, match=r"annotator_answers\[1\] must be not empty"):
        vqa_accuracy(["yes", "no"], [["yes"], []])


def test_the_mean_has_an_interval_and_is_rounded_like_the_references():
    found = vqa_accuracy(["yes", "no", "2"], [["yes"] * 3 + ["no"] * 7, ["yes"] * 10, ["two", "2"]])
    assert found.per_question.tolist() == pytest.approx([0.9, 0, 1 / 3])
    assert found.percent() == 41.11
    low, high = found.interval()[1:]
    assert 0 <= low < found.mean < high <= 0.9


def test_pairs_catch_a_model_that_does_not_look():
    truth = torch.tensor([0, 1] * 50)
    blind = torch.zeros(100, dtype=torch.int64)
    found = pair_accuracy(blind == truth, blind)
    assert [value.estimate for value in found] == [0.5, 0, 0]
    said = ["yes", "no", "yes", "yes", "no", "yes"]
    right = torch.tensor([True, True, True, False, False, False])
    assert [v.estimate for v in pair_accuracy(right, said)] == pytest.approx([1 / 2, 1 / 3, 2 / 3])
    with pytest.raises(ValueError, match="odd number of rows: 5"):
        pair_accuracy(right[:5], said[:5])


def test_one_string_is_no_list_of_answers():
    with pytest.raises(TypeError, match=r"annotator_answers\[0\] must be a list.*'yes'"):
        vqa_accuracy(["yes"], ["yes"])


@pytest.mark.parametrize("people", [[None], [3], [{"answer": "yes"}], None, [b"yes"], "yes", []])
def test_answers_are_words(people):
    with pytest.raises((TypeError, ValueError), match=r"annotator_answers(\[1\]){1,2}"):
        vqa_accuracy(["yes", "no"], [["yes"], people])


def test_pairs_take_zeros_and_ones():
    said, right = ["yes", "no", "yes", "yes"], torch.tensor([1, 1, 1, 0])
    assert pair_accuracy(right, said) == pair_accuracy(right.bool(), said)
    with pytest.raises(ValueError, match="correct must be True or False"):
        pair_accuracy(2 * right, said)
