"""Corpora of documents: from the packages to data sets, with what may go wrong."""

import json
import re
from collections import Counter

import pytest

from mmtutor.data import load
from mmtutor.data.fetch import FetchError, summary
from mmtutor.data.real import state_of_the_union, tang_poems
from mmtutor.data.real.documents import SPLITS
from mmtutor.data.splits import normalised

LINE = "天地玄黃宇宙洪荒日月盈昃。"


def poem(author, *lines, **more):
    return {
        "id": f"{author}-{lines[0]}",
        "author": author,
        "title": "題",
        "paragraphs": lines,
    } | more


def line(number):
    """A line of ten characters that no other number has."""
    return "".join(chr(0x4E00 + 10 * number + k) for k in range(10)) + "。"


def prepared(module, tmp_path, files):
    (tmp_path / "out").mkdir()
    for name, rows in files.items():
        text = rows if isinstance(rows, str) else json.dumps(rows, ensure_ascii=False)
        (tmp_path / name).write_text(text, "utf-8")
    module.prepare(tmp_path, tmp_path / "out")
    return json.loads((tmp_path / "out/documents.json").read_text("utf-8"))


def poets(count=10):
    return [poem(f"人{k}", line(k)) for k in range(count)]


def test_notes_go_and_unusable_poems_and_copies_are_left_out(tmp_path):
    rows = [
        poem("甲", "闌風長雨（一作「東」）秋紛紛，[四]海八荒同一雲。", "", "禾頭生耳黍穗黑。"),
        poem("甲", "冰□已鏤津薄紅梅色冷淺綠。"),
        poem("甲", "短句。"),
        poem("乙", "闌風長雨秋紛紛！四海八荒同一雲；禾頭生耳黍穗黑"),
    ]
    made = prepared(tang_poems, tmp_path, {"poet.tang.0.json": rows + poets()})
    texts = [each["text"] for split in SPLITS for each in made[split]]
    assert texts[0] == "闌風長雨秋紛紛，四海八荒同一雲。\n禾頭生耳黍穗黑。"
    assert len(texts) == 11


def test_poets_and_lines_are_on_one_side(tmp_path):
    """Nine lines of his own a poet; the tenth is another poet's too."""
    rows = [poem(f"人{k}", line(10 * k + j)) for k in range(10) for j in range(9)]
    shared = [poem(f"人{k}", line(1_000), line(1_001 + k)) for k in range(10)]
    made = prepared(tang_poems, tmp_path, {"poet.tang.0.json": rows, "poet.tang.1.json": shared})
    authors = [{each["author"] for each in made[split]} for split in SPLITS]
    assert [len(each) for each in authors] == [8, 1, 1]
    assert len(set.union(*authors)) == 10
    assert [len(made[split]) for split in SPLITS] == [80, 9, 9]


@pytest.mark.parametrize(
    ("module", "name", "rows", "message"),
    [
        (tang_poems, "poet.tang.0.json", "[{", r"poet\.tang\.0\.json is missing or damaged"),
        (tang_poems, "poet.tang.0.json", [{"id": "1"}], r"poet\.tang\.0\.json is .*'author'"),
        (tang_poems, "poet.tang.0.json", [poem(3, LINE)], "expected objects with id, author"),
        (tang_poems, "other.json", [], "no document for 'train'"),
        (state_of_the_union, "1790_x.json", {"year": "1790"}, r"1790_x\.json is"),
        (state_of_the_union, "1790_x.json", [1], r"1790_x\.json is missing or damaged"),
        (
            state_of_the_union,
            "x.json",
            {"year": 1790, "name": "", "party": "", "text": ""},
            "'val'",
        ),
    ],
)
def test_damaged_files_are_named(module, name, rows, message, tmp_path):
    with pytest.raises(FetchError, match=message):
        prepared(module, tmp_path, {name: rows})


@pytest.mark.parametrize("name", ["state-of-the-union", "tang-poems"])
def test_what_is_missing_or_unknown_is_said(name, tmp_path):
    with pytest.raises(FileNotFoundError, match=f"`mmtutor fetch {name}`"):
        load(name, root=tmp_path)
    with pytest.raises(ValueError, match="split must be 'train', 'val' or 'test', got 'all'"):
        load(name, "all")


# -------------------------------------------------------------------- the real ones, as published


@pytest.fixture(scope="module", params=["state-of-the-union", "tang-poems"])
def splits(request):
    return {split: load(request.param, split) for split in SPLITS}


def test_no_text_and_no_id_comes_twice_in_all_splits(splits):
    for column in ("text", "id"):
        values = [value for data in splits.values() for value in data.column(column)]
        assert len(set(map(normalised, values))) == len(values)


def test_the_addresses_of_a_year_are_on_one_side():
    years = {split: load("state-of-the-union", split).column("year") for split in SPLITS}
    assert [len(each) for each in years.values()] == [187, 23, 23]
    assert set(years["val"].remainder(10).tolist()) == {3}
    assert set(years["test"].remainder(10).tolist()) == {4}
    assert {3, 4}.isdisjoint(years["train"].remainder(10).tolist())
    assert "187 documents in train" in summary("state-of-the-union")


def test_few_runs_of_words_in_held_out_addresses_are_known():
    """The figure of the module's docstring."""

    def runs(text, n=13):
        words = re.findall(r"\w+", text.lower())
        return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}

    every = [load("state-of-the-union", split) for split in SPLITS]
    known, held = Counter(), []
    for data, held_out in zip(every, (False, True, True), strict=True):
        for text, year in zip(data.column("text"), data.column("year").tolist(), strict=True):
            found = runs(text)
            known.update(found)
            held += [found] if held_out else []
            assert len(found) > 500, year
    shared = sum(known[run] > 1 for found in held for run in found)
    assert 0.002 < shared / sum(map(len, held)) < 0.004


def test_held_out_poets_are_no_others_and_their_lines_are_their_own():
    poems = {split: load("tang-poems", split) for split in SPLITS}
    authors = [set(data.column("author")) for data in poems.values()]
    assert len(set.union(*authors)) == sum(map(len, authors))
    assert {"李白", "杜甫", "白居易"} <= authors[0]
    lines = [
        {line for text in data.column("text") for line in text.split("\n") if len(line) > 11}
        for data in poems.values()
    ]
    assert len(set.union(*lines)) == sum(map(len, lines))
    assert len(poems["train"]) > 40_000
    assert min(len(poems[split]) for split in ("val", "test")) > 5_000


def test_poems_hold_characters_and_punctuation_alone():
    texts = load("tang-poems").column("text")
    assert "牀前看月光，疑是地上霜。\n舉頭望山月，低頭思故鄉。" in texts
    assert not re.search(
        r"[^\u3400-\u9fff\U00020000-\U0003ffff〇，。、？！；：「」『』《》·\n]", "".join(texts)
    )
