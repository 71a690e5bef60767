"""VQAv2 from a local stand-in: its columns, its faults, and the book's questions in its form."""

import pytest
import torch

from mmtutor.data import Dataset
from mmtutor.data.fetch.pictures import PictureError
from mmtutor.data.hub import preprocess, vqav2
from mmtutor.data.hub.flickr30k import read_picture
from mmtutor.data.hub.preprocess import HubUnreachableError
from mmtutor.data.hub.vqav2 import load_vqav2, open_stream, ten_of_one_mind
from tests.hub_standins import picture
from tests.vqa_standins import KINDS, save_vqav2, vqa_rows

pytestmark = pytest.mark.usefixtures("own_datasets_cache")


def saved(tmp_path, columns=None, split="validation", **changes):
    columns = columns or vqa_rows(2)
    for name, value in changes.items():
        columns.pop(name) if value is None else columns.update({name: value})
    return save_vqav2(tmp_path / "vqa", columns, split)


def test_an_example_is_a_question_with_ten_answers_and_its_picture(tmp_path):
    questions = load_vqav2(saved(tmp_path))
    assert len(questions) == 10
    example = questions[8]
    assert example["question"] == "where is it?"
    assert example["answers"] == ["left"] * 7 + ["maybe", "grey", "a left"]
    assert example["answer"] == "left"
    assert torch.equal(example["image"], read_picture(picture(1)))
    assert questions.column("image_id").tolist() == [1000] * 5 + [1001] * 5
    assert questions.column("answer_type") == [*KINDS] * 2
    assert questions.column("question_type")[:2] == ["what colour", "is the"]


def test_the_first_questions_and_two_names_of_validation(tmp_path):
    folder = saved(tmp_path)
    assert load_vqav2(folder, limit=3).column("row").tolist() == [0, 1, 2]
    assert len(load_vqav2(folder, "val", limit=99)) == 10
    other = save_vqav2(tmp_path / "other", vqa_rows(1), "train")
    assert len(load_vqav2(other, "train")) == 5
    with pytest.raises(ValueError, match="limit must be a whole number of at least 1, got 0"):
        load_vqav2(folder, limit=0)
    with pytest.raises(ValueError, match="no split 'train'; it has validation"):
        load_vqav2(folder, "train")


def test_answers_may_be_plain_strings_and_other_columns_may_be_missing(tmp_path):
    plain = [["red"] * 6 + ["blue"] * 4] * 10
    bare = dict.fromkeys(("question_type", "answer_type", "image_id", "question_id"))
    questions = load_vqav2(saved(tmp_path, answers=plain, multiple_choice_answer=None, **bare))
    assert questions.column("answer") == ["red"] * 10
    assert questions.column("answers") == plain
    assert questions.column("image_id").tolist() == list(range(10))
    assert questions.column("answer_type") == questions.column("question_type") == [""] * 10


@pytest.mark.parametrize("missing", ["image", "question", "answers"])
def test_a_missing_column_is_named_with_those_present(tmp_path, missing):
    with pytest.raises(ValueError, match=rf"has no column {missing}; it has .*image_id"):
        load_vqav2(saved(tmp_path, **{missing: None}))


def test_a_question_without_answers_is_named(tmp_path):
    rows = vqa_rows(1)
    rows["answers"][3] = []
    with pytest.raises(
        ValueError, match=r"vqa, row 3, column answers: \[\], expected .*test splits"
    ):
        load_vqav2(saved(tmp_path, rows))


def test_answers_as_a_record_of_lists_are_read_too():
    assert vqav2._answers({"answer": ["a", "b"], "answer_id": [1, 2]}, "row 0") == ["a", "b"]
    for wrong in (None, "yes", {"answer": None}, [1, 2], [{"text": "yes"}]):
        with pytest.raises(ValueError, match="row 0: "):
            vqav2._answers(wrong, "row 0")


def test_wrong_sources_say_what_was_expected(tmp_path):
    with pytest.raises(FileNotFoundError, match="neither a local folder nor a hub id"):
        load_vqav2("/no/such/folder")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no parquet file"):
        load_vqav2(tmp_path / "empty")


def test_a_folder_saved_by_datasets(tmp_path):
    import datasets

    table = datasets.load_dataset(str(saved(tmp_path)), split="validation")
    datasets.DatasetDict(validation=table.select([4, 5])).save_to_disk(tmp_path / "saved")
    assert load_vqav2(tmp_path / "saved").column("image_id").tolist() == [1000, 1001]


def test_a_damaged_picture_stops_only_its_own_question(tmp_path):
    rows = vqa_rows(2)
    rows["image"][5]["bytes"] = rows["image"][5]["bytes"][:60]
    questions = load_vqav2(saved(tmp_path, rows))
    assert questions[4]["image"].shape[0] == 3
    with pytest.raises(PictureError, match="picture question 1001000: damaged PNG, cannot"):
        questions[5]


def test_without_a_network_the_error_is_one_sentence(monkeypatch):
    monkeypatch.setattr(preprocess, "hub_reachable", lambda: False)
    for limit in (None, 5):
        with pytest.raises(HubUnreachableError, match=r"^nobody/vqa could not be reached; pass a"):
            load_vqav2("nobody/vqa", limit=limit)
    with pytest.raises(HubUnreachableError):
        open_stream("nobody/vqa")


def test_of_a_hub_s_table_only_the_rows_asked_for_are_read(tmp_path, monkeypatch):
    folder, read = saved(tmp_path), []

    def local_stream(source, split):
        stream = open_stream(folder, split)
        return stream.map(
            lambda row: read.append(row["question_id"]) or row, features=stream.features
        )

    monkeypatch.setattr(vqav2, "open_stream", local_stream)
    questions = load_vqav2("nobody/vqav2", "val", limit=3)
    assert len(read) <= 4  # not all ten
    local = load_vqav2(folder, limit=3)
    assert questions.columns.keys() == local.columns.keys()
    assert questions.column("answers") == local.column("answers")
    assert torch.equal(questions[2]["image"], local[2]["image"])


def test_the_book_s_questions_take_the_same_form():
    image = torch.zeros(2, 3, 4, 4, dtype=torch.uint8)
    asked = {"image": image, "question": ["a?", "b?"], "answer": ["yes", "2"], "type": ["e", "c"]}
    scene = torch.tensor([7, 7])
    ready = ten_of_one_mind(Dataset({**asked, "scene": scene}))
    assert ready.column("answers") == [["yes"] * 10, ["2"] * 10]
    assert ready.column("answer_type") == ["e", "c"]
    assert torch.equal(ready.column("image_id"), scene)
    kept = ten_of_one_mind(Dataset({**asked, "image_id": scene + 1, "scene": scene}))
    assert torch.equal(kept.column("image_id"), scene + 1)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("question", None),
        ("question_type", None),
        ("answer_type", None),
        ("image_id", None),
        ("question_id", None),
    ],
)
def test_what_is_missing_is_named_by_file_row_and_column(tmp_path, column, value):
    rows = vqa_rows(1)
    rows[column][3] = value
    with pytest.raises(ValueError, match=rf"vqa, row 3, column {column}: None, expected a"):
        load_vqav2(saved(tmp_path, rows))


def test_ids_that_are_strings_are_numbered(tmp_path):
    ids = ["003a8ae2"] * 2 + ["004"] + ["003a8ae2"] * 2
    import datasets

    columns = {"image": vqa_rows(1)["image"], "question": ["q"] * 5, "answers": [["a"]] * 5}
    table = datasets.Dataset.from_dict(columns | {"image_id": ids})
    table = table.cast_column("image", datasets.Image())
    datasets.DatasetDict(validation=table).save_to_disk(tmp_path / "saved")
    questions = load_vqav2(tmp_path / "saved")
    assert questions.column("image_id").tolist() == [0, 0, 1, 0, 0]


def test_a_question_without_a_picture_is_named_when_it_is_read(tmp_path):
    rows = vqa_rows(1)
    rows["image"][2] = None
    questions = load_vqav2(saved(tmp_path, rows))
    with pytest.raises(PictureError, match=r"vqa, row 2 read, column image: .* there is none"):
        questions[2]


def test_answers_that_are_no_strings_have_no_ten_of_one_mind():
    asked = {"question": ["a?"], "type": ["e"], "scene": torch.tensor([7])}
    for answer in ([2], [None], torch.tensor([1])):
        with pytest.raises(TypeError, match=r"dataset\.column\('answer'\)\[0\] must be a string"):
            ten_of_one_mind(Dataset({**asked, "answer": answer}))
