"""The script that keeps VQAv2 in a folder: what it writes, refuses, notices and goes on with."""

import json
import sys

import pytest
import torch

from data_scripts import vqav2
from mmtutor.data.hub.vqav2 import load_vqav2
from tests.vqa_standins import save_vqav2, vqa_rows

pytestmark = pytest.mark.usefixtures("own_datasets_cache")


@pytest.fixture
def source(tmp_path):
    return save_vqav2(tmp_path / "source", vqa_rows(3))


def test_the_folder_reads_like_the_source(source, tmp_path):
    out = tmp_path / "out"
    vqav2.prepare(source, out, questions=12, piece=5)
    kept, original = load_vqav2(out), load_vqav2(source, limit=12)
    assert kept.columns.keys() == original.columns.keys()
    for name in ("question", "answers", "answer_type", "name"):
        assert kept.column(name) == original.column(name)
    assert all(torch.equal(kept[row]["image"], original[row]["image"]) for row in (0, 11))
    assert vqav2.verify(out) == 12


def test_a_run_that_was_cut_short_goes_on_where_it_stopped(source, tmp_path, monkeypatch):
    out, write = tmp_path / "out", vqav2._write

    def no_third(path, rows, features):
        if path.name.endswith("2.parquet"):
            raise OSError("the line is dead")
        write(path, rows, features)

    monkeypatch.setattr(vqav2, "_write", no_third)
    with pytest.raises(OSError, match="the line is dead"):
        vqav2.prepare(source, out, questions=15, piece=5)
    assert vqav2.verify(out) == 10
    before = {path.name: path.stat().st_mtime_ns for path in out.glob("*.parquet")}
    monkeypatch.setattr(vqav2, "_write", write)
    vqav2.prepare(source, out, questions=15, piece=5)
    assert {name: (out / name).stat().st_mtime_ns for name in before} == before
    assert load_vqav2(out).column("question") == load_vqav2(source).column("question")


def test_a_changed_or_missing_file_is_noticed(source, tmp_path):
    out = tmp_path / "out"
    vqav2.prepare(source, out, questions=5)
    path = out / "validation-00000.parquet"
    with open(path, "r+b") as file:
        file.seek(100)
        file.write(b"X")
    with pytest.raises(ValueError, match=r"00000\.parquet is missing or was changed"):
        vqav2.prepare(source, out, questions=10)
    path.unlink()
    with pytest.raises(ValueError, match=r"00000\.parquet is missing"):
        vqav2.verify(out)


def test_another_table_is_not_mixed_in(source, tmp_path):
    vqav2.prepare(source, tmp_path / "out", questions=5)
    other = save_vqav2(tmp_path / "other", vqa_rows(3))
    with pytest.raises(
        ValueError, match=r"holds validation of .*source, not validation of .*other"
    ):
        vqav2.prepare(other, tmp_path / "out", questions=10)


@pytest.mark.parametrize("number", ["0", "-5"])
def test_no_questions_are_no_wish(source, tmp_path, number, monkeypatch, capsys):
    arguments = ["x", "--source", str(source), "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", [*arguments, "--questions", number])
    assert vqav2.main() == 1
    assert "questions must be a whole number of at least 1" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_what_is_not_vqav2_is_refused(source, tmp_path):
    with pytest.raises(ValueError, match="split 'validation' has 15 questions: expected 99"):
        vqav2.prepare(source, tmp_path / "out", questions=99)
    rows = vqa_rows(1)
    rows["answers"][2] = rows["answers"][2][:9]
    with pytest.raises(ValueError, match="question 1000002 has 9 answers: expected 10"):
        vqav2.prepare(save_vqav2(tmp_path / "nine", rows), tmp_path / "a", questions=5)
    del rows["answers"]
    with pytest.raises(ValueError, match="a row has no answers; it has question_type"):
        vqav2.prepare(save_vqav2(tmp_path / "none", rows), tmp_path / "b", questions=5)


def test_the_command_says_what_went_wrong_in_one_line(source, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    command = ["vqav2.py", "--source", str(source), "--out", str(out), "--questions"]
    monkeypatch.setattr(sys, "argv", [*command, "99"])
    assert vqav2.main() == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert said == "vqav2: split 'validation' has 15 questions: expected 99"
    monkeypatch.setattr(sys, "argv", [*command, "15"])
    assert vqav2.main() == 0  # the fifteen are there already
    assert "already there, checksums right: 15" in capsys.readouterr().out
    (out / "manifest.json").write_text(json.dumps({"files": {"x": {"sha256": ""}}}))
    assert vqav2.main() == 1
    assert "x is missing or was changed" in capsys.readouterr().err
