import torch

from mmtutor.recipes.fusion import three_modalities
from mmtutor.recipes.fusion.three_modalities import MODALITIES, Config, permuted

TINY = Config.preset("tiny")


def test_the_tiny_preset_runs_and_reports_each_modality():
    result = three_modalities.run(TINY, progress=False)
    assert set(result.metrics["without"]) == set(MODALITIES)
    assert result.metrics["accuracy"]["estimate"] > 1 / 8


def test_labels_are_the_sizes_of_three_objects():
    data = three_modalities.examples("train", TINY, three_modalities.vocabulary(TINY))
    label = data.column("label")
    large = torch.tensor(["large" in caption for caption in data.column("caption")])
    known = large | torch.tensor(["small" in caption for caption in data.column("caption")])
    assert torch.equal(label[known] & 1, large[known].long())
    loud = data.column("audio").abs().amax(dim=1) > 0.31
    assert torch.equal(label >> 2, loud.long())
    assert len(label.unique()) == 8


def test_permuting_moves_one_modality_and_nothing_else():
    data = three_modalities.examples("train", TINY, three_modalities.vocabulary(TINY))
    moved = permuted(data, "tokens")
    assert torch.equal(moved.column("image"), data.column("image"))
    before = [row.tolist() for row in data.column("tokens")]
    after = [row.tolist() for row in moved.column("tokens")]
    assert before != after
    assert sorted(before) == sorted(after)
