from importlib import import_module
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from mmtutor.data import Dataset, collate, loader
from mmtutor.data.tokenizer import UNKNOWN
from mmtutor.encoders import BagOfWords, SmallCNN
from mmtutor.evaluation import bootstrap_interval, predict
from mmtutor.evaluation.modality_use import (
    ExampleScores,
    ModalityUnusedError,
    ablate,
    example_scores,
    perceptual_score,
    permuted,
    require_modality_use,
)
from mmtutor.evaluation.statistics import by_group
from mmtutor.fusion import CrossAttention
from mmtutor.losses import cross_entropy
from mmtutor.models import FusionClassifier, ProjectionHead
from mmtutor.training import fit

COLOURS, SHADES = 3, torch.eye(3)


class Output(NamedTuple):
    logits: Tensor


def questions(n, seed=0, asked_of_each=2):
    """Pictures with a colour above and one below; which one is asked for stands in the question.

    Two questions in a row are about one picture. Word 2 is "above", 3 "below"; the others say
    nothing. Chance is 1/3; the picture or the question alone give little more.
    """
    generator = torch.Generator().manual_seed(seed)
    pictures = n // asked_of_each
    colour = torch.randint(COLOURS, (pictures, 2), generator=generator)
    bands = SHADES[colour].repeat_interleave(4, dim=1)  # [pictures, 8, 3]
    image = bands.permute(0, 2, 1).unsqueeze(-1).expand(-1, -1, -1, 8)
    which = torch.randint(2, (n,), generator=generator)
    picture = torch.arange(n) // asked_of_each
    padding = torch.randint(1, 4, (n,), generator=generator).tolist()
    tokens = [torch.tensor([2 + w] + [4] * p) for w, p in zip(which.tolist(), padding, strict=True)]
    shared = list((image * 255).byte())
    return Dataset(
        {
            "image": [shared[p] for p in picture.tolist()],
            "tokens": tokens,
            "label": colour[picture, which],
            "picture": picture,
            "kind": ["above" if w == 0 else "below" for w in which.tolist()],
        },
        name="bands",
    )


class SequentialCNN(nn.Module):
    """001:372, its "VQA network": three convolutions and two dense layers of a picture."""

    def __init__(self):
        super().__init__()
        layers, width = [], 3
        for channels in (8, 16, 32):
            layers += [nn.Conv2d(width, channels, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
            width = channels
        self.net = nn.Sequential(
            *layers, nn.Flatten(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, COLOURS)
        )

    def forward(self, batch):
        return Output(self.net(batch["image"]))


class MedicalClassifier(nn.Module):
    """002:203, its "multimodal" classifier: batches with pictures, a model called on texts."""

    def __init__(self):
        super().__init__()
        self.bert = BagOfWords(5, 16)
        self.head = nn.Linear(16, COLOURS)

    def forward(self, batch):
        images, texts = batch["image"], batch["tokens"]
        del images  # moved to the device in the article, and never used
        return Output(self.head(self.bert(texts, batch["tokens_mask"]).pooled()))


def looking():
    encoders = {"image": SmallCNN(16, width=8, patch=1), "tokens": BagOfWords(5, 16)}
    fusion = CrossAttention({"image": 16, "tokens": 16}, 16)
    return FusionClassifier(encoders, fusion, ProjectionHead(16, COLOURS))


def trained(build, epochs):
    torch.manual_seed(0)
    model = build()
    batches = loader(questions(600, seed=1), 50, shuffle=True)
    fit(model, cross_entropy, batches, epochs=epochs, lr=5e-3, progress=False)
    return model


@pytest.fixture(scope="module")
def data():
    return questions(400)


@pytest.fixture(scope="module")
def good():
    return trained(looking, epochs=8)


@pytest.fixture(scope="module")
def blind_to_the_question():
    return trained(SequentialCNN, epochs=5)


@pytest.fixture(scope="module")
def blind_to_the_picture():
    return trained(MedicalClassifier, epochs=2)


def test_the_good_model_passes(good, data):
    use = require_modality_use(good, data, ["image", "tokens"], margin=0.1, groups="picture")
    assert use["image"].intact.estimate > 0.9
    assert use["image"].ablated.estimate < 0.5
    assert use["tokens"].ablated.estimate < 0.8


def test_the_vqa_network_of_article_001_is_flagged(blind_to_the_question, data):
    lost = ablate(blind_to_the_question, data, "tokens", groups="picture")
    assert lost.drop == (0, 0, 0)
    assert lost.intact == lost.ablated
    assert lost.intact.estimate > 0.5  # though it is well above chance
    assert ablate(blind_to_the_question, data, "image", groups="picture").drop.low > 0.1
    with pytest.raises(ModalityUnusedError, match=r"permuting 'tokens' costs 0\.000") as raised:
        require_modality_use(blind_to_the_question, data, ["image", "tokens"], groups="picture")
    assert "'image'" not in str(raised.value)


def test_the_medical_classifier_of_article_002_is_flagged(blind_to_the_picture, data):
    for how in ("permute", "zero", "mean"):
        assert ablate(blind_to_the_picture, data, "image", how).drop == (0, 0, 0)
    with pytest.raises(AssertionError, match="permuting 'image' costs"):
        require_modality_use(blind_to_the_picture, data, ["image"])


class Sum(nn.Module):
    """Says 1 where the sum of some numbers of the batch is positive."""

    def __init__(self, *names):
        super().__init__()
        self.names = names
        self.seen = []

    def forward(self, batch):
        self.seen.append(batch)
        total = sum(batch[name].float().flatten(1).sum(dim=1) for name in self.names)
        return Output(torch.stack([-total, total], dim=1))


def signs(n=200, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.where(torch.rand(n, generator=generator) < 0.5, -1.0, 1.0)
    other = torch.rand(n, generator=generator) < 0.5
    columns = {"x": x[:, None], "label": (x > 0).long(), "half": other}
    return Dataset(columns)


def test_permuting_deals_each_value_once_and_never_to_its_owner():
    data = Dataset({"x": torch.arange(50), "y": list(range(50)), "z": torch.arange(50)})
    seen = set()
    for seed in range(20):
        moved = permuted(data, "x", "y", seed=seed)
        x, y = moved.column("x"), torch.tensor(moved.column("y"))
        for column in (x, y):
            assert sorted(column.tolist()) == list(range(50))
            assert (column != torch.arange(50)).all()
        assert not torch.equal(x, y)
        assert torch.equal(moved.column("z"), torch.arange(50))
        seen.add(tuple(x.tolist()))
    assert len(seen) == 20
    again = permuted(data, "x", seed=3)
    assert torch.equal(again.column("x"), permuted(data, "x", seed=3).column("x"))


@pytest.mark.parametrize("sizes", [[1, 1], [3, 1, 2], [5, 5], [4, 1, 1, 1, 1], [2] * 30, [1, 7, 8]])
def test_a_group_never_gets_its_own_value(sizes):
    ids = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    ids = ids[torch.randperm(len(ids), generator=torch.Generator().manual_seed(0))] * 7 - 3
    data = Dataset({"image": ids, "id": ids})
    for seed in range(20):
        moved = permuted(data, "image", seed=seed, groups="id").column("image")
        assert (moved != ids).all()
        assert torch.equal(moved.sort().values, ids.sort().values)


def test_a_group_that_fills_the_data_cannot_swap():
    data = Dataset({"image": torch.arange(5)})
    with pytest.raises(ValueError, match="3 of 5 examples"):
        permuted(data, "image", groups=torch.tensor([1, 1, 1, 2, 3]))
    with pytest.raises(KeyError, match="no column 'audio'"):
        permuted(data, "audio")


def test_each_question_gets_another_picture(data):
    moved = permuted(data, "image", groups="picture")
    own, other = data.column("image"), moved.column("image")
    assert all(a is not b for a, b in zip(own, other, strict=True))
    alone = permuted(data, "image")
    assert any(a is b for a, b in zip(own, alone.column("image"), strict=True))


def test_the_drop_is_paired_and_by_hand():
    found = ablate(Sum("x"), signs(), "x")
    scores = example_scores(Sum("x"), signs(), "x")
    assert scores.before.tolist() == [1] * 200
    x = permuted(signs(), "x").column("x")[:, 0]
    after = (x > 0) == (signs().column("x")[:, 0] > 0)
    assert scores.after.tolist() == after.double().tolist()
    assert found.drop == bootstrap_interval(1 - after.double())
    assert found.drop.estimate == pytest.approx(found.intact.estimate - found.ablated.estimate)


def test_groups_widen_the_interval():
    data = signs(40)
    four = Dataset({k: v.repeat_interleave(4, dim=0) for k, v in data.columns.items()})
    group = torch.arange(160) // 4
    alone, together = ablate(Sum("x"), four, "x"), ablate(Sum("x"), four, "x", groups=group)
    width = [a.drop.high - a.drop.low for a in (alone, together)]
    assert width[1] > width[0] * 1.02
    with pytest.raises(ValueError, match="groups must be"):
        ablate(Sum("x"), data, "x", "zero", groups=group)


class Half(nn.Module):
    """Uses x where the example says so, and elsewhere the answer itself."""

    def forward(self, batch):
        score = torch.where(batch["half"], batch["x"][:, 0], 2.0 * batch["label"] - 1)
        return Output(torch.stack([-score, score], dim=1))


def test_a_model_that_looks_half_the_time_is_told_apart_by_group():
    data = signs(400)
    before, after = example_scores(Half(), data, "x")
    used = by_group(before - after, ["uses" if h else "ignores" for h in data.column("half")])
    assert tuple(used["ignores"]) == (0, 0, 0)
    assert used["uses"].low > 0.3
    overall = ablate(Half(), data, "x").drop
    assert 0.15 < overall.low < overall.estimate < 0.35


class Record(nn.Module):
    """Keeps the batches it is given."""

    def __init__(self):
        super().__init__()
        self.batches = []

    def forward(self, batch):
        self.batches.append(batch)
        return Output(torch.zeros(len(batch["label"]), 2))


def everything():
    return Dataset(
        {
            "image": torch.arange(5 * 3 * 4 * 4, dtype=torch.uint8).view(5, 3, 4, 4),
            "video": torch.rand(5, 2, 3, 4, 4),
            "tokens": [torch.full((n,), 9) for n in (1, 4, 2, 3, 2)],
            "audio": [torch.ones(n) for n in (3, 2, 5, 4, 1)],
            "label": torch.zeros(5, dtype=torch.int64),
        }
    )


def seen(modality, how, monkeypatch):
    model = Record()
    for module in ("predict", "modality_use"):
        monkeypatch.setattr(import_module(f"mmtutor.evaluation.{module}"), "BATCH_SIZE", 2)
    ablate(model, everything(), modality, how)
    return model.batches[:3], model.batches[3:]


@pytest.mark.parametrize("modality", ["image", "video", "audio", "tokens"])
@pytest.mark.parametrize("how", ["permute", "zero"])
def test_only_the_modality_changes(modality, how, monkeypatch):
    for before, after in zip(*seen(modality, how, monkeypatch), strict=True):
        assert before.keys() == after.keys()
        for key in before:
            same = torch.equal(before[key], after[key])
            assert same or key.startswith(modality), key


def test_what_takes_a_modalitys_place(monkeypatch):
    for before, after in zip(*seen("image", "zero", monkeypatch), strict=True):
        assert after["image"].shape == before["image"].shape
        assert not after["image"].any()
    for before, after in zip(*seen("audio", "zero", monkeypatch), strict=True):
        assert not after["audio"].any()
        assert torch.equal(after["audio_mask"], before["audio_mask"])
    for _, after in zip(*seen("tokens", "zero", monkeypatch), strict=True):
        assert (after["tokens"] == UNKNOWN).all()
        assert after["tokens"].shape == after["tokens_mask"].shape == (len(after["label"]), 1)
        assert after["tokens_mask"].all()
    whole = collate([everything()[i] for i in range(5)])["image"].mean(dim=0)
    for _, after in zip(*seen("image", "mean", monkeypatch), strict=True):
        torch.testing.assert_close(after["image"], whole.expand_as(after["image"]))


@pytest.mark.parametrize("modality", ["tokens", "audio"])
def test_sequences_have_no_mean(modality):
    with pytest.raises(
        ValueError, match=f"'mean' cannot replace '{modality}'.*'permute' or 'zero'"
    ):
        ablate(Record(), everything(), modality, "mean")


def test_wrong_requests_are_named():
    with pytest.raises(ValueError, match="got 'shuffle'"):
        ablate(Record(), everything(), "image", "shuffle")
    for how in ("zero", "mean"):
        with pytest.raises(KeyError, match="the batch lacks smell"):
            ablate(Record(), everything(), "smell", how)
    with pytest.raises(KeyError, match="no column 'smell'"):
        ablate(Record(), everything(), "smell")


def test_perceptual_scores_by_hand():
    scores = ExampleScores(*(torch.tensor(s * 25) for s in ([1.0, 1, 1, 0], [1.0, 0, 0, 0])))
    found = perceptual_score(scores)
    assert found.estimate == pytest.approx(2 / 3)
    assert found.low < found.estimate < found.high < 1


def test_the_perceptual_scores_interval_is_that_of_the_ratio():
    generator = torch.Generator().manual_seed(0)
    before = (torch.rand(300, generator=generator) < 0.6).double()
    half = before * (torch.rand(300, generator=generator) < 0.5)
    found = perceptual_score(ExampleScores(before, half))
    n, p = before.sum().item(), 1 - (half.sum() / before.sum()).item()
    wide = 1.96 * (p * (1 - p) / n) ** 0.5  # of the share of right answers that were lost
    assert found.estimate == pytest.approx(p)
    assert found.high - found.low == pytest.approx(2 * wide, rel=0.1)
    tied = perceptual_score(ExampleScores(before, half), groups=torch.arange(300) // 300)
    assert tied == pytest.approx((p, p, p))


def test_a_perceptual_score_needs_something_to_divide_by():
    nothing = ExampleScores(torch.zeros(4), torch.zeros(4))
    with pytest.raises(ValueError, match="never right"):
        perceptual_score(nothing)


def test_the_gate_asks_for_certainty():
    drop = ablate(Sum("x"), signs(), "x").drop
    require_modality_use(Sum("x"), signs(), ["x"], margin=drop.low - 0.01)
    with pytest.raises(ModalityUnusedError, match="at least"):
        require_modality_use(Sum("x"), signs(), ["x"], margin=(drop.low + drop.estimate) / 2)


def test_a_table_of_all_modalities():
    modalities = ["image", "audio", "tokens"]
    use = require_modality_use(Record(), everything(), modalities, margin=0)
    assert list(use) == ["image", "audio", "tokens"]
    assert all(tuple(a.drop) == (0, 0, 0) for a in use.values())
    assert predict(Record(), loader(everything(), 2)).correct.all()
