"""A card for whatever answers: functions, objects, hub models, the book's own, and stored files."""

import csv
import json
from itertools import combinations

import pytest
import torch
from PIL import Image

from book.tools.layout import Book
from book.tools.sync import notebook
from mmtutor.data import Dataset, collate
from mmtutor.data.tables import read_table
from mmtutor.data.tokenizer import WordTokenizer
from mmtutor.evaluation.generation import rouge_l
from mmtutor.evaluation.scorecard import scorecard, write_preferences
from mmtutor.evaluation.scorecard.grading import _graded
from mmtutor.models.generative import GPT, GPTConfig, VisionLanguageModel, generate
from mmtutor.models.generative.vision_language import Patches
from mmtutor.models.hub.vqa import load_vqa
from tests import vqa_standins
from tests.hub_standins import COLOURS

NAMES = ("red", "green", "blue")
OPTIONAL = ("paraphrase", "group", "subset", "options", "refuse", "pair", "image")


def rows(n=36):
    """Questions about squares, and all that may stand in a table."""
    for i in range(n):
        colour = NAMES[i % 3]
        yield {
            "image": f"{i // 2}.png",
            "question": f"{i}: what colour is it?",
            "answer": colour,
            "paraphrase": f"{i}: which colour does it have?",
            "group": "ab"[i // 3 % 2],
            "subset": "xyz"[i // 4 % 3],
            "options": "|".join(NAMES if i % 2 else NAMES[::-1]),
            "refuse": "",
            "pair": f"pair {i // 2}",
        }


def written(folder, table, name="questions.csv"):
    """The pictures and the table, in a folder."""
    table = list(table)
    for i in range(len(table)):
        Image.new("RGB", (12, 10), COLOURS[NAMES[i % 3]]).save(folder / f"{i}.png")
    with open(folder / name, "w", newline="", encoding="utf-8") as file:
        lines = csv.DictWriter(file, list(dict.fromkeys(key for row in table for key in row)))
        lines.writeheader()
        lines.writerows(table)
    return folder


def looks(batch):
    """Right about single pictures; of two questions about one picture, about one."""
    return [NAMES[image.float().mean(dim=(1, 2)).argmax()] for image in batch["image"]]


def says_red(batch):
    return ["red"] * len(batch["question"])


@pytest.fixture
def folder(tmp_path):
    return written(tmp_path, rows())


def test_the_lines_on_the_page_grade_a_callable_on_a_table(folder):
    chapter = Book().root / "book/6-evaluation/standards.md"
    [cell] = [c for c in notebook(chapter).cells if "ten-lines" in c.metadata.get("tags", [])]
    assert len(cell.source.splitlines()) <= 10
    made = {"folder": folder}
    exec(cell.source, made)
    card = made["brightness"]
    assert card["accuracy", "accuracy"].interval.estimate > 0.3
    assert "calibration error" in str(card.left_out)


def cells_of(card):
    return {f"{s}, {n}" for s, some in card.measures.items() for n in some}


@pytest.mark.parametrize(
    "missing", [(), *((name,) for name in OPTIONAL), *combinations(OPTIONAL[:3], 2), OPTIONAL]
)
def test_each_optional_part_may_be_missing_and_is_named(missing, tmp_path):
    table = [{k: v for k, v in row.items() if k not in missing} for row in rows()]
    card = scorecard(says_red, written(tmp_path, table))
    assert "accuracy, accuracy" in cells_of(card)
    assert not cells_of(card) & card.left_out.keys()
    needs = {"paraphrase": "consistency, paraphrases agree", "subset": "diversity, worst domain"}
    needs |= {"options": "stability, favoured letter", "pair": "consistency, swap pairs right"}
    needs |= {"group": "fairness, gap: group"}
    for name, cell in needs.items():
        assert (cell in card.left_out) == (name in missing), name
        assert name not in missing or repr(name) in card.left_out[cell]
    for some in card.measures.values():
        for cell in some.values():
            low, high = cell.interval.low, cell.interval.high
            assert low <= cell.interval.estimate <= high
            assert cell.floor is not None or cell.unit == "s"


class Object:
    def answer(self, batch):
        return looks(batch)


def logits(batch):
    """Scores of the options, for the colour of the picture."""
    seen = looks(batch)
    return torch.tensor(
        [
            [5.0 * (o == one) for o in options]
            for one, options in zip(seen, batch["options"], strict=True)
        ]
    )


def test_one_model_in_many_forms_has_one_card(folder, tmp_path):
    data = read_table(folder)
    said = looks({"image": [row["image"] for row in data]})
    (tmp_path / "said").mkdir()
    stored = tmp_path / "said" / "answers.jsonl"
    lines = [json.dumps({"answer": f"It is {one}."}) for one in said]
    stored.write_text("\n".join(lines), encoding="utf-8")
    want = scorecard(looks, folder)["accuracy", "accuracy"]
    models = (Object(), Object().answer, logits, stored, str(stored))
    sources = (folder, folder / "questions.csv", data, str(folder), folder)
    for model, source in zip(models, sources, strict=True):
        found = scorecard(model, source)["accuracy", "accuracy"]
        assert found.interval == want.interval
        assert found.floor == want.floor


@pytest.mark.parametrize("kind", ["vilt", "blip", "idefics3", "qwen3_vl"])
def test_hub_models_get_a_card_as_they_are_and_with_their_processor(kind, tmp_path):
    made = getattr(vqa_standins, f"save_{kind}")(tmp_path / kind)
    table = [{k: row[k] for k in ("image", "answer", "group")} for row in rows(8)]
    table = [row | {"question": "what colour is the square?"} for row in table]
    source = written(tmp_path, table)
    loaded = load_vqa(made)

    class Pipeline:
        model, processor = loaded.model, loaded.processor

    cards = [scorecard(m, source) for m in (loaded, (loaded.model, loaded.processor), Pipeline())]
    for card in cards:
        assert cards[0].errors[0]["said"] == card.errors[0]["said"]
        assert "stability, same when asked again" in cells_of(card)
        assert card["stability", "same when asked again"].interval.estimate == 1


def test_the_book_s_own_vision_language_model_gets_a_card(folder):
    data = read_table(folder)
    words = WordTokenizer.fit([*data.column("question"), " ".join(NAMES)])
    torch.manual_seed(0)
    gpt = GPT(GPTConfig(words.size + 1, dim=8, depth=1, heads=1, max_length=64))
    model = VisionLanguageModel(gpt, Patches(2), words.size)

    def answer(batch):
        asked = [torch.tensor([words.size, *words.encode(q)]) for q in batch["question"]]
        examples = [{"image": i, "tokens": t} for i, t in zip(batch["image"], asked, strict=True)]
        return [words.decode(row) for row in generate(model, collate(examples), 1).tokens]

    card = scorecard(answer, folder)
    assert card["stability", "same when asked again"].interval.estimate == 1
    assert len(card.errors) > 0


def test_another_score_and_people_who_answered(folder):
    data = read_table(folder)
    data = Dataset({k: v for k, v in data.columns.items() if k != "options"}, data.transform)
    card = scorecard(lambda b: [f"a {x} square" for x in looks(b)], data, score=rouge_l)
    assert 0.1 < card["accuracy", "accuracy"].interval.estimate < 0.6
    people = [[one] * 2 + ["pink"] * 8 for one in data.column("answer")]
    ten = Dataset({"question": data.column("question"), "answers": people})
    said = _graded(data.column("answer"), ten)
    assert said.score.tolist() == pytest.approx([0.6] * len(data))
    few = Dataset({"question": ["?"], "answers": [["a cat", "kitten"]]})
    assert _graded(["Kitten!"], few).score.tolist() == [1]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("B", 1),
        ("(b).", 1),
        ("B. green", 1),
        ("The answer is C", 2),
        ("green", 1),
        ("It is blue!", 2),
        ("A green one", 1),
        ("red or blue", -1),
        ("", -1),
        ("E", -1),
    ],
)
def test_a_choice_is_read_out_of_a_text(text, place):
    data = Dataset({"question": ["?"], "answer": ["green"], "options": [list(NAMES)]})
    assert _graded([text], data).said == [place]


def test_an_answer_is_read_out_of_a_text():
    data = Dataset({"question": ["?"] * 3, "answer": ["light blue", "blue", "no"]})
    said = _graded(["It is light blue.", "no, blue", "No!"], data).said
    assert said == ["light blue", "no blue", "no"]


def test_refusals_are_counted_where_they_are_due_and_where_not():
    data = Dataset({"name": list("abcd"), "answer": ["red", "red", "", ""], "refuse": list("0011")})
    no = "I'm sorry, I cannot help with that."
    card = scorecard(
        lambda b: [{"a": "red", "b": no, "c": no, "d": "red"}[q] for q in b["name"]], data
    )
    assert card["stability", "refuses needlessly"].interval.estimate == 0.5
    assert card["stability", "answers what it should refuse"].interval.estimate == 0.5
    assert card["accuracy", "accuracy"].interval.estimate == 0.5
    assert card["stability", "refuses needlessly"].flagged


def test_errors_are_the_surest_first_and_written_without_pictures(folder):
    card = scorecard(lambda b: [("red", 0.5 + 0.01 * i) for i in range(len(b["image"]))], folder)
    sure = [error["sure"] for error in card.errors]
    assert sure == sorted(sure, reverse=True)
    assert card.errors[0]["image"].shape == (3, 10, 12)
    assert "image" not in json.dumps(card.to_dict()["errors"])


def test_preferences_written_and_filled_in(tmp_path):
    path = tmp_path / "judge.csv"
    write_preferences({"good": ["yes"] * 40, "bad": ["no"] * 40}, ["?"] * 40, path)
    with pytest.raises(ValueError, match="preferred must be filled in with 'first'"):
        scorecard("good", path)
    with open(path, encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    for i, row in enumerate(table):
        better = "first" if (row["first"] == "good") == (i % 10 > 0) else "second"
        row |= {"rater": str(i % 20), "preferred": "tie" if i == 5 else better}
    written(tmp_path, table, path.name)
    cards = {name: scorecard(name, path) for name in ("good", "bad")}
    share = {name: card["preference", "preferred"] for name, card in cards.items()}
    assert share["good"].interval.estimate == pytest.approx(0.8875)
    assert share["bad"].interval.estimate == pytest.approx(0.1125)
    assert share["bad"].flagged
    assert not share["good"].flagged
    strength = cards["good"]["preference", "strength"].interval
    assert strength.low > 0 > cards["bad"]["preference", "strength"].interval.high
    assert not cards["good"]["raters", "lean to one side"].flagged
    with pytest.raises(ValueError, match="model must be 'bad' or 'good', got 'other'"):
        scorecard("other", path)
    table[3]["preferred"] = "perhaps"
    written(tmp_path, table, path.name)
    with pytest.raises(ValueError, match=r"preferred must be 'first'.*got 'perhaps' in row 3"):
        scorecard("good", path)


def test_what_cannot_be_graded_is_refused_in_a_sentence(folder, tmp_path):
    data = read_table(folder)
    without = Dataset({k: v for k, v in data.columns.items() if k != "answer"}, data.transform)
    (tmp_path / "empty").mkdir()
    short = tmp_path / "short.jsonl"
    short.write_text('{"answer": "red"}')
    unsure = tmp_path / "unsure.csv"
    unsure.write_text("answer,confidence\n" + "red,very\n" * 36)
    wrong = data.with_column("answer", ["pink"] * 36)
    for model, given, words in (
        (3, data, "model must be a function of a batch, .* or a file of answers, got 3"),
        (looks, without, "data must have a column 'answer', 'answers' or 'label', got"),
        (looks, tmp_path / "no.csv", "path must be a table or a folder with one, got .*no.csv"),
        (looks, tmp_path / "empty", "path must hold one table, .* got none"),
        (lambda b: ["red"], data, "model must give an answer a question, got 1 for 16"),
        (lambda b: [3] * len(b["image"]), data, r"what model answers\[0\] must be"),
        (lambda b: [("red", 2.0)] * len(b["image"]), data, r"confidence must be in \[0, 1\]"),
        (torch.nn.Linear(1, 1), data, "data must have a column 'label' for a module with logits"),
        (short, data, "must have a row for each question or a column 'id', got 1 rows"),
        (unsure, data, "confidence must be a number in every row, got 'very'"),
        (folder / "0.png", data, "path must end in .csv or .jsonl, got .*png"),
        (looks, wrong, "answer must be one of the options or its letter, got 'pink' in row 0"),
        (looks, data.with_column("pair", ["x"] * 36), "pair must name two rows each, got 36"),
    ):
        with pytest.raises((TypeError, ValueError, OSError), match=words):
            scorecard(model, given)


def test_tables_that_do_not_fit_are_refused(tmp_path):
    for name, text, words in (
        ("a.csv", "question,answer\nwhat\n", "row 1: expected as many cells as the header has"),
        ("b.csv", "question,answer\n", "has no rows"),
        ("c.jsonl", '{"answer": 1}\n[1]\n', "row 2: expected a JSON object"),
        ("d.csv", "image,answer\nnone.png,red\n", "row 1: there is no picture 'none.png'"),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(ValueError, match=words):
            read_table(tmp_path / name)
    (tmp_path / "bad.png").write_bytes(b"no picture")
    (tmp_path / "e.csv").write_text("file_name,answer\nbad.png,red\n")
    with pytest.raises(ValueError, match=r"bad\.png cannot be decoded"):
        read_table(tmp_path / "e.csv")[0]
    (tmp_path / "f.jsonl").write_text('{"answers": ["a", "b"], "n": 3}\n{"options": "x|y"}\n')
    found = read_table(tmp_path / "f.jsonl")
    assert found[0] == {"answers": ["a", "b"], "n": "3", "options": []}
    assert found[1] == {"answers": [], "n": "", "options": ["x", "y"]}


def test_no_model_is_shown_the_answers(folder):
    seen = []
    scorecard(lambda batch: seen.append(set(batch)) or looks(batch), folder)
    assert all(not keys & {"answer", "answers", "label", "group", "paraphrase"} for keys in seen)
