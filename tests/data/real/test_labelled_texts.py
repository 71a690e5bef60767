"""Reviews and mails: what is left of a mail, and that no text is on two sides."""

import json

import pytest

from mmtutor.data.fetch import FetchError
from mmtutor.data.real import labelled_texts
from mmtutor.data.real.documents import SPLITS
from mmtutor.data.real.labelled_texts import KINDS, load

MAIL = """Subject: Re: [list] Hello  there
From: a@example.org
Content-Type: text/html

<style>p {}</style><p>Buy &amp; sell</p>
> quoted
Yours"""


def prepared(tmp_path, reviews=None, mails=None):
    """The documents of ten reviews a label and ten mails a group, and of those given."""
    (tmp_path / "out").mkdir()
    (tmp_path / "reviews").mkdir()
    lines = {"neg.txt": [f"坏{i}" for i in range(10)], "pos.txt": [f"好{i}" for i in range(10)]}
    for name, rows in lines.items():
        text = "\n".join(rows + (reviews or {}).get(name, []))
        (tmp_path / "reviews" / name).write_text(text, "utf-8")
    for group in ("easy-ham-1", "spam-2"):
        (tmp_path / "mails" / group).mkdir(parents=True)
        texts = [f"Subject: {group} {i}\n\nbody" for i in range(10)] + (mails or {}).get(group, [])
        for number, text in enumerate(texts):
            row = json.dumps({"group": group, "text": text})
            (tmp_path / "mails" / group / f"{number}.json").write_text(row)
    labelled_texts.prepare(tmp_path, tmp_path / "out")
    made = json.loads((tmp_path / "out/documents.json").read_text("utf-8"))
    return {split: {row["text"]: row["label"] for row in rows} for split, rows in made.items()}


def test_copies_and_texts_with_both_labels_are_left_out(tmp_path):
    made = prepared(tmp_path, {"neg.txt": ["坏1", "  坏  2", "怎样"], "pos.txt": ["怎样"]})
    texts = [text for rows in made.values() for text in rows]
    assert "怎样" not in texts
    assert texts.count("坏1") == 1
    assert "坏 2" in texts
    assert len(texts) == 41


def test_of_a_mail_its_subject_and_its_own_words_are_left(tmp_path):
    made = prepared(tmp_path, mails={"spam-2": [MAIL]})
    texts = {text: label for rows in made.values() for text, label in rows.items()}
    assert texts["Hello there\nBuy & sell Yours"] == 1
    assert texts["easy-ham-1 3\nbody"] == 0


def test_mails_of_one_subject_are_on_one_side(tmp_path):
    answers = [f"Subject: Re: Subject 1\n\nbody {i}" for i in range(30)]
    made = prepared(tmp_path, mails={"easy-ham-1": answers})
    sides = {split for split, rows in made.items() if any("Subject 1" in text for text in rows)}
    assert len(sides) == 1


def test_what_is_missing_is_said(tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(FetchError, match=r"neg\.txt is missing or damaged"):
        labelled_texts.prepare(tmp_path, tmp_path / "out")
    with pytest.raises(FileNotFoundError, match="`mmtutor fetch labelled-texts`"):
        load("test", root=tmp_path)
    with pytest.raises(ValueError, match="kind must be 'reviews' or 'mails', got 'films'"):
        load("test", "films")


@pytest.mark.parametrize("kind", KINDS)
def test_the_real_ones_are_as_published(kind):
    parts = {split: load(split, kind) for split in SPLITS}
    texts = [text for part in parts.values() for text in part.column("text")]
    assert len(set(texts)) == len(texts) > 5_000
    for part in parts.values():
        assert set(part.column("label").tolist()) == {0, 1}
        assert all(0 < len(text) <= labelled_texts.LONGEST for text in part.column("text"))
        assert 0.2 < part.column("label").double().mean() < 0.6
