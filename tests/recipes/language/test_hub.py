"""The hub recipe of vision-language models, on stand-ins of the same classes in a local folder."""

import json
from dataclasses import replace

import pytest
import torch
from typer.testing import CliRunner

from mmtutor import cli
from mmtutor.data.hub.preprocess import HubUnreachableError
from mmtutor.models.hub import checkpoint
from mmtutor.recipes.language import hub
from mmtutor.recipes.language.hub import Config, _evaluate, run
from mmtutor.recipes.vqa import hub as vqa_hub
from mmtutor.training.checkpoint import read_tensors
from tests.vqa_standins import save_idefics3, save_qwen3_vl, save_vqav2, vqa_rows

pytestmark = pytest.mark.usefixtures("own_datasets_cache")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vlm")
    return replace(Config.preset("tiny"), model=str(save_qwen3_vl(folder)))


@pytest.fixture
def ask():
    return vqa_hub.Config(data="shapes-questions", questions=12)


class Standin:
    """Answers by rule from the row of the picture, which its first pixel tells."""

    def __init__(self, rule):
        self.rule = rule

    def answer(self, images, questions):
        return [
            self.rule(int(image.flatten()[0]), q)
            for image, q in zip(images, questions, strict=True)
        ]


def numbered(data):
    """The same, with the number of its row in a picture's first pixel."""
    image = data.column("image").clone()
    image.flatten(1)[:, 0] = torch.arange(len(data), dtype=torch.uint8)
    return data.with_column("image", image)


def test_the_whole_recipe_trains_adapters_alone_and_asks_twice(tiny, tmp_path):
    command = ["run", "vlm-hub", "--preset", "tiny", "--out", str(tmp_path)]
    done = CliRunner().invoke(cli.app, [*command, "--set", f"model={tiny.model}"])
    assert done.exit_code == 0, done.output
    record = json.loads((tmp_path / "metrics.json").read_text())
    before, after = (record["metrics"][name] for name in ("as_it_comes", "fine_tuned"))
    for metrics in (before, after):
        assert metrics["questions"] == 12
        assert {"accuracy", "by_answer_type", "constant", "blank", "permuted"} <= metrics.keys()
        assert {"pope_random", "pope_popular", "pope_adversarial"} <= metrics.keys()
    assert before["accuracy"] != after["accuracy"]
    assert record["history"]["loss"][-1] < 0.6 * record["history"]["loss"][0]
    kept, _ = read_tensors(tmp_path / "model.safetensors")
    assert all(".lora_" in name for name in kept)
    assert record["metrics"]["parameters"] == sum(x.numel() for x in kept.values())


def test_a_table_like_vqav2(tmp_path):
    folder = save_vqav2(save_vqav2(tmp_path / "vqa", vqa_rows(6), "train"), vqa_rows(4, first=6))
    model = str(save_idefics3(tmp_path / "model"))
    config = replace(Config.preset("tiny"), model=model, data=str(folder), train=30, epochs=8)
    metrics = run(config, progress=False).metrics["fine_tuned"]
    assert (metrics["questions"], "pope_random" in metrics) == (12, False)
    assert metrics["accuracy"]["estimate"] > 0.3  # "yes" alone has two fifths of the questions


def test_pope_s_scores_are_those_of_the_truth(ask):
    asked = numbered(vqa_hub.questions_of(ask))
    shown = [{hub.SHAPES[s] for s in row if s >= 0} for row in asked.column("shape").tolist()]
    sees = Standin(
        lambda row, text: "yes" if row < 12 and any(f" {x} " in text for x in shown[row]) else "no"
    )
    metrics = _evaluate(sees, asked, ask, False)
    always = _evaluate(Standin(lambda *_: "yes"), asked, ask, False)
    for name in ("pope_random", "pope_popular", "pope_adversarial"):
        assert metrics[name] == dict.fromkeys(metrics[name], 1.0) | {"yes_ratio": 0.5}
        assert (always[name]["accuracy"], always[name]["yes_ratio"]) == (0.5, 1.0)


def test_training_questions_are_others(ask):
    learned, asked = (vqa_hub.questions_of(replace(ask, split=s)) for s in ("train", "validation"))
    assert len(learned) == len(asked) == 12
    assert learned.column("answers")[0] == [learned.column("answer")[0]] * 10
    pictures = {image.numpy().tobytes() for image in learned.column("image")}
    assert not any(image.numpy().tobytes() in pictures for image in asked.column("image"))


def test_what_cannot_be_is_refused_in_one_sentence(tiny, monkeypatch):
    with pytest.raises(ValueError, match="sharded is True: expected False"):
        replace(tiny, sharded=True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="four_bits must be False where there is no CUDA GPU"):
        run(Config.preset("t4"))
    monkeypatch.setattr(checkpoint, "hub_reachable", lambda: False)
    with pytest.raises(
        HubUnreachableError, match=r"^nobody/vlm could not be reached; pass a local"
    ):
        run(replace(tiny, model="nobody/vlm"))
