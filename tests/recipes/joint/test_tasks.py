"""The recipes of joint learning and of modality competition, at a size of seconds."""

from dataclasses import replace

import pytest
import torch

from mmtutor.data import Dataset
from mmtutor.recipes.joint import (
    competition as modality_competition,
)
from mmtutor.recipes.joint import (
    linear_tasks,
)
from mmtutor.recipes.joint import (
    tasks as joint_learning,
)

JOINT = joint_learning.Config.preset("tiny")
COMPETITION = modality_competition.Config.preset("tiny")


def test_joint_learning_runs_and_reports_every_way():
    result = joint_learning.run(JOINT, progress=False)
    scores = result.metrics["accuracy"]
    assert list(scores) == ["alone", *JOINT.ways]
    for row in scores.values():
        assert {task: len(values) for task, values in row.items()} == {"colour": 1, "position": 1}
    assert max(scores["alone"]["position"]) > 2 / 9
    cosines = [value for runs in result.metrics["cosine"].values() for run in runs for value in run]
    assert len(cosines) == len(JOINT.ways) * JOINT.epochs
    assert all(-1 <= value <= 1 for value in cosines)


@pytest.mark.parametrize("way", joint_learning.WAYS)
def test_every_way_builds_and_has_an_objective(way):
    model = joint_learning.build(JOINT, way, ["colour", "position"])
    data = joint_learning.examples(replace(JOINT, train=4), "train")
    batch = {"image": data.column("image").float() / 255}
    batch |= {task: data.column(task) for task in ("colour", "position")}
    assert joint_learning._objective(JOINT, way, model)(model(batch), batch).isfinite()


def test_branches_share_the_encoder_but_no_code():
    narrow = joint_learning.build(JOINT, "joint", ["colour", "position"])
    branches = joint_learning.build(JOINT, "branches", ["colour", "position"])
    extra = JOINT.dim * JOINT.width + JOINT.width  # one more trunk
    count = [sum(p.numel() for p in model.parameters()) for model in (narrow, branches)]
    assert count[1] - count[0] == extra


def test_unknown_names_are_answered():
    with pytest.raises(ValueError, match="'nothing': expected 'joint', 'weights'"):
        replace(JOINT, ways=("nothing",))
    with pytest.raises(ValueError, match="'nothing': expected 'image', 'joint'"):
        replace(COMPETITION, ways=("joint", "nothing"))
    with pytest.raises(ValueError, match="expected 'shapes' or 'fashion-mnist'"):
        replace(JOINT, data="other")


def test_pictures_are_turned_as_their_label_says():
    image = torch.arange(12).view(1, 1, 3, 4)[..., :3].expand(4, 3, 3, 3)
    data = joint_learning._turned(Dataset({"image": image, "label": torch.zeros(4).long()}))
    assert data.column("turn").tolist() == [0, 1, 2, 3]
    for k in range(4):
        assert torch.equal(data.column("image")[k], image[k].rot90(k, dims=(1, 2)))
    assert torch.equal(image[1], image[0])  # the original is left alone


def test_fashion_mnist_has_two_tasks(fashion_mnist_cache):
    config = replace(JOINT, data="fashion-mnist", patch=7, train=8)
    data = joint_learning.examples(config, "train")
    assert set(data.columns) == {"image", "kind", "turn"}
    assert data.column("image").shape == (8, 3, 28, 28)


def test_the_best_code_is_the_one_that_training_finds():
    data = linear_tasks.linear_tasks(60)
    x = data.column("image_features")
    torch.testing.assert_close(x.T @ x / len(x), torch.eye(2), atol=1e-5, rtol=0)
    weights = torch.tensor([0.7, 0.3])
    objective = linear_tasks.WeightedSum({"A": 0.7, "B": 0.3})
    model = linear_tasks.train(data, objective)
    expected = linear_tasks.explained(linear_tasks.best_code(weights, 60), 60)
    assert linear_tasks.score(model, data) == pytest.approx(expected.tolist(), abs=0.01)


def test_two_tasks_at_a_right_angle_leave_nothing_for_the_lighter():
    explained = linear_tasks.explained(
        linear_tasks.best_code(torch.tensor([[0.6, 0.4], [0.4, 0.6]]), 90), 90
    )
    torch.testing.assert_close(explained, torch.eye(2), atol=1e-6, rtol=0)


def test_sharing_helps_equal_tasks_and_hurts_unequal_ones():
    helped, hurt = linear_tasks.transfer([0, 90], trials=400).mean(dim=1)
    assert helped < 0 < hurt


def test_competition_runs_and_reports_every_way():
    result = modality_competition.run(COMPETITION, progress=False)
    scores = result.metrics["accuracy"]
    assert set(scores["image"]) == {"image"}
    assert set(scores["joint"]) == {"both", "image", "tokens"}
    assert scores["joint"]["tokens"][0] > 0.7  # words are quick even here
    pull = result.metrics["pull"]["joint"]
    assert len(pull["image"][0]) == len(pull["tokens"][0]) == COMPETITION.epochs


@pytest.mark.parametrize("way", modality_competition.WAYS)
def test_every_way_of_competition_trains(way):
    config = replace(COMPETITION, train=64, test=16, epochs=1)
    data = {name: modality_competition._examples(config, name) for name in ("train", "test")}
    trained = modality_competition._train(config, way, data, seed=0)
    sees = ["image"] if way == "image" else ["image", "tokens"]
    assert list(trained.model.encoders) == sees
    assert set(trained.history.epochs[0]) == {"epoch", "loss", *sees}


def test_words_are_right_as_often_as_asked():
    data = modality_competition._examples(replace(COMPETITION, train=4_000, right=0.9), "train")
    word = torch.stack(data.column("tokens"))[:, 0] - 2
    share = (word == data.column("label")).double().mean().item()
    assert share == pytest.approx(0.9 + 0.1 / 8, abs=0.02)
    shuffled = torch.stack(modality_competition._shuffled_words(data).column("tokens"))[:, 0] - 2
    assert (shuffled == data.column("label")).double().mean().item() < 0.2


def test_the_control_gets_wrong_labels_for_its_branches_only():
    model = modality_competition.build(COMPETITION, "joint")
    batch = {
        "image": torch.rand(3, 3, 32, 32),
        "tokens": torch.tensor([[2], [3], [4]]),
        "label": torch.tensor([0, 1, 2]),
    }
    output = model.eval()(batch)
    right = modality_competition._objective(COMPETITION, "own losses")(output, batch)
    wrong = modality_competition._objective(COMPETITION, "own shuffled")(output, batch)
    rolled = {**batch, "label": batch["label"].roll(1)}
    joint = modality_competition.cross_entropy
    own = modality_competition.BranchLosses()
    expected = joint(output, batch) + own(output, rolled) - joint(output, rolled)
    torch.testing.assert_close(wrong, expected)
    assert not torch.isclose(wrong, right)
