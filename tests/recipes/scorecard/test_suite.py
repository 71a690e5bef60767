"""The recipe of the scorecard: its suite, its models, and faults that are found where planted."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from mmtutor.data import collate
from mmtutor.data.shapes.questions.dataset import ANSWERS
from mmtutor.data.tokenizer import WordTokenizer
from mmtutor.evaluation.scorecard.measures import last, ranks
from mmtutor.models import ClassifierOutput
from mmtutor.models.hub.answerer import HubAnswerer
from mmtutor.models.hub.vqa import load_vqa
from mmtutor.recipes.scorecard.candidates import Candidate, _kinds, encoded, planted
from mmtutor.recipes.scorecard.hub import _save_vilt
from mmtutor.recipes.scorecard.suite import (
    Config,
    evaluate_all,
    make_suite,
    run,
    training_questions,
)

TINY = Config.preset("tiny")


@pytest.fixture(scope="module")
def suite():
    return make_suite(replace(TINY, test=240, examined=60))


def test_the_exam_asks_the_same_in_other_words(suite):
    first, again = suite.data.column("question"), suite.paraphrased.column("question")
    assert all(one != other for one, other in zip(first, again, strict=True))
    for name in ("image", "label"):
        assert torch.equal(suite.data.column(name), suite.paraphrased.column(name))
    chinese = [any("\u4e00" <= c <= "\u9fff" for c in q) for q in again]
    assert chinese == [name == "Chinese" for name in suite.data.column("language")]


def test_pairs_ask_the_same_of_two_pictures(suite):
    asked, label = suite.pairs.column("question"), suite.pairs.column("label").view(-1, 2)
    assert asked[::2] == asked[1::2]
    assert (label[:, 0] != label[:, 1]).all()
    assert set(suite.pairs.column("language")) == {"English", "Chinese"}


def test_corrupting_touches_one_modality_alone(suite):
    for name, data in suite.corrupted.items():
        same = torch.equal(data.column("image"), suite.data.column("image"))
        words = data.column("question") == suite.data.column("question")
        assert same != words, name


def test_random_group_tells_nothing_of_the_shade(suite):
    random_group = suite.data.column("random_group")
    shades = suite.data.column("background")
    shares = [(random_group[shades == s] == 0).double().mean().item() for s in range(4)]
    assert min(shares) > 0.1
    assert max(shares) < 0.45


def test_training_pictures_say_what_is_in_them():
    data = training_questions(replace(TINY, train=50, pictures=50))
    found = _kinds(data)
    assert found.shape == (50, 48)
    pairs = zip(data.column("colour"), data.column("shape"), found, strict=True)
    for colour, shape, row in pairs:
        true = {c * 6 + s for c, s in zip(colour.tolist(), shape.tolist(), strict=True) if c >= 0}
        assert set(row.nonzero().flatten().tolist()) == true


class Knowing(nn.Module):
    """Right about every other example, and half sure of every answer: calibrated."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(len(ANSWERS) - 1.0).log())

    def forward(self, batch):
        if "label" not in batch:
            return ClassifierOutput(self.scale * batch["image"].mean(dim=(2, 3)))
        wrong = batch["question_id"] // 2 % 2 == 0
        said = torch.where(wrong, (batch["label"] + 1) % len(ANSWERS), batch["label"])
        logits = nn.functional.one_hot(said, len(ANSWERS)) * self.scale
        return ClassifierOutput(logits - 1e-3 * batch["image"].mean(dim=(1, 2, 3))[:, None])


class Blind(nn.Module):
    def __init__(self):
        super().__init__()
        self.prior = nn.Parameter(torch.zeros(len(ANSWERS)))

    def forward(self, batch):
        return ClassifierOutput(self.prior.repeat(len(batch["tokens"]), 1))


def numbered(suite):
    def add(data):
        return data.with_column("question_id", torch.arange(len(data)))

    corrupted = {name: add(data) for name, data in suite.corrupted.items()}
    parts = {name: add(getattr(suite, name)) for name in ("data", "paraphrased", "pairs")}
    return replace(suite, corrupted=corrupted, **parts)


def test_planted_faults_are_found_where_they_are_and_nowhere_else(suite):
    encode = WordTokenizer.fit(suite.data.column("question")).encode
    models = planted(Candidate(Knowing(), encode))
    models["blind"] = Candidate(Blind(), encode)
    cards = evaluate_all(models, numbered(suite))
    good, sure, unlucky, unfair, _ = cards
    assert last(cards, "accuracy", "calibration error") == "over-confident"
    assert last(cards, "fairness", "gap: shade") == "unfair"
    for name in ("accuracy", "macro F1"):
        assert last(cards, "accuracy", name) == "blind"
    assert last(cards, "consistency", "swap pairs right") == "blind"
    timed = {"latency", "throughput", "energy"}
    for standard, cells in good.measures.items():
        for name in cells.keys() - timed:
            assert last(cards, standard, name) != "over-confident" or name == "calibration error"
            if name != "calibration error":
                same = ranks([good, sure], standard, name)
                assert same == {"good": 1, "over-confident": 1}, name
            if standard == "accuracy":
                found = ranks([unlucky, unfair], standard, name)
                assert found == {"unlucky": 1, "unfair": 1}, name
    assert last([good, sure, unlucky], "fairness", "gap: shade") is None


def test_the_tiny_run_gives_a_card_for_each_model():
    result = run(TINY, progress=False)
    assert list(result.metrics) == [
        *("question only", "image only", "concatenation", "cross-attention", "tiny ViLT")
    ]
    assert all(len(standards) == 8 for standards in result.metrics.values())
    assert len(result.history.loss) > 0


def test_a_hub_model_answers_as_its_own_processor_would(tmp_path, suite):
    questions = suite.data.column("question")
    torch.manual_seed(0)
    _save_vilt(tmp_path, questions, suite.data.column("image").shape[-1])
    model = HubAnswerer(load_vqa(tmp_path), ANSWERS)
    assert list(tmp_path.glob("*.safetensors"))
    asked = encoded(suite.data, model.encode)
    batch = collate([asked[i] for i in range(12)])
    said = load_vqa(tmp_path).answer(list(suite.data.column("image")[:12]), questions[:12])
    with torch.no_grad():
        ours = model.eval()(batch).logits.argmax(dim=1)
    assert [ANSWERS[i] for i in ours.tolist()] == said


def test_a_hub_model_that_lacks_an_answer_is_refused(tmp_path):
    loaded = HubAnswerer(load_vqa(_save_vilt(tmp_path, ["what is it?"], 36)), ANSWERS)
    with pytest.raises(TypeError, match="does not choose"):
        HubAnswerer(loaded, ANSWERS)
    with pytest.raises(ValueError, match="cannot say purple-ish"):
        HubAnswerer(load_vqa(tmp_path), ["yes", "purple-ish"])
