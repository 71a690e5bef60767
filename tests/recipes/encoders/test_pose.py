import torch

from mmtutor.data.synthetic.stick_figures import JOINTS
from mmtutor.recipes.encoders import pose as recipe
from mmtutor.recipes.encoders.pose import Config

TINY = Config.preset("tiny")


def test_the_tiny_preset_runs():
    result = recipe.run(TINY, progress=False)
    assert result.history.loss[-1] < result.history.loss[0]
    assert list(result.metrics["network"]["pck_of_joint"]) == list(JOINTS)


def test_the_score_of_the_truth_and_of_its_mirror_image():
    truth = recipe.figures(TINY, "test").column("joints")
    perfect = recipe.score(truth, truth)
    assert perfect["pck"]["estimate"] == 1
    assert perfect["confused"]["estimate"] == perfect["mean_error"] == 0
    swapped = recipe.score(truth[:, list(recipe.MIRRORED)], truth)
    assert swapped["confused"]["estimate"] == 1
    assert swapped["pck_of_joint"]["head"] == 1
    far = recipe.score(truth + 100 * torch.ones(2), truth)
    assert far["pck"]["estimate"] == 0
