"""The hub recipe from table to numbers, on stand-ins that lie in a local folder."""

import json
from dataclasses import replace

import pytest
import torch
from typer.testing import CliRunner

from mmtutor import cli
from mmtutor.data import Dataset
from mmtutor.data.hub.preprocess import HubUnreachableError
from mmtutor.data.hub.vqav2 import load_vqav2
from mmtutor.models.hub import checkpoint
from mmtutor.models.hub.vqa import load_vqa
from mmtutor.recipes.common.result import plain
from mmtutor.recipes.vqa import hub as vqa_hub
from mmtutor.recipes.vqa.hub import Config, _controls, evaluate, questions_of, run
from tests.hub_standins import COLOURS
from tests.vqa_standins import save_idefics3, save_vilt, save_vqav2, vqa_rows

pytestmark = pytest.mark.usefixtures("own_datasets_cache")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    data = save_vqav2(folder / "vqa", vqa_rows(6))
    return replace(Config.preset("tiny"), model=str(save_vilt(folder / "vilt")), data=str(data))


class Standin:
    """Answers by rule; `see` finds the colour of the square in the pixels."""

    def __init__(self, rule):
        self.rule = rule

    def answer(self, images, questions):
        return [self.rule(*pair) for pair in zip(images, questions, strict=True)]


def colour_of(image):
    """The colour of the square in a stand-in picture, or "none"."""
    pixels = image.flatten(1).T  # [P, 3]
    square = pixels[(pixels.int() - 128).abs().sum(1) > 3]
    known = {value: name for name, value in COLOURS.items()}
    return known[tuple(square[0].tolist())] if len(square) else "none"


@pytest.fixture(scope="module")
def colours(tiny):
    """The questions "what colour is the square?", one a picture."""
    questions = load_vqav2(tiny.data)
    return questions.subset(torch.arange(len(questions)) % 5 == 0)


def test_the_whole_recipe_counts_every_question(tiny):
    result = run(tiny, progress=False)
    metrics = result.metrics
    assert (metrics["questions"], metrics["images"]) == (20, 4)
    assert set(metrics["by_answer_type"]) == {"yes/no", "number", "other"}
    for found in (metrics["accuracy"], metrics["blank"]["drop"], metrics["permuted"]["accuracy"]):
        assert -1 <= found["low"] <= found["estimate"] <= found["high"] <= 1
    assert metrics["constant"] == {"answer": "yes", "accuracy": pytest.approx(0.4)}
    assert result.config == tiny
    assert list(result.model.parameters()) == []
    json.dumps(plain(metrics), allow_nan=False)


def test_a_model_that_sees_loses_by_both_controls(tiny, colours):
    metrics = evaluate(Standin(lambda image, _: colour_of(image)), colours, tiny)
    assert metrics["accuracy"]["estimate"] == 1.0
    for control in ("blank", "permuted"):
        assert metrics[control]["accuracy"]["estimate"] == 0.0
        assert metrics[control]["drop"] == {"estimate": 1.0, "low": 1.0, "high": 1.0}
        assert metrics[control]["unchanged"] == 0.0


def test_a_blind_model_loses_nothing(tiny):
    questions = load_vqav2(tiny.data)
    blind = Standin(lambda _, question: "yes" if question.startswith("is") else "red")
    metrics = evaluate(blind, questions, tiny)
    assert metrics["accuracy"]["estimate"] > metrics["constant"]["accuracy"]
    for control in ("blank", "permuted"):
        assert metrics[control]["drop"] == {"estimate": 0.0, "low": 0.0, "high": 0.0}
        assert metrics[control]["unchanged"] == 1.0


def test_accuracy_is_that_of_the_challenge(tiny, colours):
    two_of_ten = colours.with_column(
        "answers", [["red"] * 2 + ["blue"] * 8 for _ in range(len(colours))]
    )
    metrics = evaluate(Standin(lambda *_: "red"), two_of_ten, tiny)
    assert metrics["accuracy"]["estimate"] == pytest.approx(0.6)
    assert metrics["by_answer_type"]["other"]["estimate"] == pytest.approx(0.6)


def test_exchanged_pictures_are_never_one_s_own(tiny):
    questions = load_vqav2(tiny.data)
    image = questions.column("image_id")
    for seed in range(5):
        rows = _controls(questions, seed)["permuted"].column("row")
        assert (image[rows] != image).all()
        assert sorted(rows.tolist()) == sorted(questions.column("row").tolist())
    listed = Dataset({"image": list("abcd"), "image_id": torch.tensor([5, 5, 9, 9])})
    assert sorted(_controls(listed)["permuted"].column("image")[:2]) == ["c", "d"]


def test_blank_pictures_keep_their_size(colours):
    blank = _controls(colours)["blank"]
    assert blank[0]["image"].shape == colours[0]["image"].shape
    assert blank[0]["image"].unique().tolist() == [127]


def test_numbers_do_not_depend_on_the_batch_size(tiny):
    metrics = [run(replace(tiny, batch_size=size), False).metrics for size in (1, 20)]
    assert metrics[0] == metrics[1]


def test_a_prompted_model_answers_the_book_s_own_questions(tmp_path, tiny, monkeypatch):
    model = str(save_idefics3(tmp_path))
    config = replace(tiny, model=model, data="shapes-questions", questions=6)
    questions = questions_of(config)
    assert len(questions) == 6
    assert questions.column("answers")[0] == [questions.column("answer")[0]] * 10
    asked = []
    monkeypatch.setattr(vqa_hub, "load_vqa", lambda *given: asked.append(given) or load_vqa(*given))
    metrics = run(replace(config, prompt="{question}!"), progress=False).metrics
    assert metrics["questions"] == metrics["images"] == 6
    assert asked[0][3] == "{question}!"
    truth = iter(questions.column("answer"))
    metrics = evaluate(Standin(lambda *_: next(truth, "nothing")), questions, config)
    assert metrics["accuracy"]["estimate"] == 1.0


def test_the_command_line_runs_it_on_local_folders(tmp_path, tiny):
    command = ["run", "vqa-hub", "--preset", "tiny", "--out", str(tmp_path / "out")]
    command += ["--set", f"model={tiny.model}", "--set", f"data={tiny.data}"]
    done = CliRunner().invoke(cli.app, command)
    assert done.exit_code == 0, done.output
    record = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert record["metrics"]["questions"] == 20
    assert record["config"]["model"] == tiny.model


def test_presets():
    assert {Config.preset(name).data for name in ("cpu", "t4", "h100")} == {vqa_hub.VQAV2}
    with pytest.raises(ValueError, match="unknown preset 'huge': expected one of tiny, cpu"):
        Config.preset("huge")


def test_without_a_network_the_recipe_stops_with_one_sentence(monkeypatch, tiny):
    monkeypatch.setattr(checkpoint, "hub_reachable", lambda: False)
    with pytest.raises(
        HubUnreachableError, match=r"^nobody/vilt could not be reached; pass a local"
    ):
        run(replace(tiny, model="nobody/vilt"))
