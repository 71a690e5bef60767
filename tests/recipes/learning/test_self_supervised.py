"""Pre-training without labels, at a size of seconds."""

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import one_hot

from mmtutor.data import Dataset
from mmtutor.losses.self_supervised import first_among, hidden_patches
from mmtutor.recipes.learning import self_supervised as recipe
from mmtutor.recipes.learning.self_supervised import Config, Views

TINY = Config.preset("tiny")


@pytest.mark.parametrize(
    ("study", "names"),
    [
        ("labels", {"masked", "momentum", "nothing learned", "labels alone", "pixels"}),
        ("ratios", {"0-5", "0-75", "nothing learned"}),
        ("collapse", {*recipe.PARTS, "nothing learned"}),
    ],
)
def test_a_run_probes_every_encoder_with_every_share_of_labels(study, names):
    result = recipe.run(replace(TINY, study=study), progress=False)
    found = result.metrics["accuracy"]
    assert found.keys() == names
    assert all(by_share.keys() == {0.1, 1.0} for by_share in found.values())
    assert result.metrics["minus"].keys() == names - {"nothing learned"}
    assert ("minus_labels_alone" in result.metrics) == (study == "labels")
    assert ("spread" in result.metrics) == (study == "collapse")


def test_pre_training_reads_no_label(monkeypatch):
    model, _ = recipe.pretrain(TINY, "masked", progress=False)
    unlabelled = Dataset({"image": recipe.data(TINY).column("image")})
    monkeypatch.setattr(recipe, "data", lambda _: unlabelled)
    other, _ = recipe.pretrain(TINY, "masked", progress=False)
    assert all(map(torch.equal, model.state_dict().values(), other.state_dict().values()))


def test_what_is_minimised():
    assert recipe.objective(TINY, "masked") is hidden_patches
    assert recipe.objective(TINY, "momentum") is first_among
    closer = recipe.objective(replace(TINY, queue=0), "momentum")
    model = recipe.build(replace(TINY, queue=0), "momentum")
    output = model({"image": torch.rand(4, 3, 28, 28)})
    assert first_among(output) == 0, "nothing to tell the pair from"
    assert closer(output, {}) == -output.logits[:, 0].mean()


def test_views_are_parts_of_the_picture():
    image = torch.linspace(0, 1, 28).expand(64, 3, 28, 28)  # brighter to the right
    torch.manual_seed(0)
    views = Views(0.25)
    views.light = lambda x: x
    seen = views(image)
    assert seen.shape == image.shape
    width = seen[..., -1].mean(dim=(1, 2)) - seen[..., 0].mean(dim=(1, 2))
    assert 0.45 < width.min() < 0.65
    assert width.max() > 0.9
    torch.testing.assert_close(seen[:, :, 0], seen[:, :, -1])  # nothing is turned


def test_the_whole_picture_is_a_view_too():
    views, image = Views(1.0), torch.rand(4, 3, 28, 28)
    views.light = lambda x: x
    torch.testing.assert_close(views(image), image, atol=1e-5, rtol=1e-5)


def test_a_probe_reads_the_labels_that_it_may_and_no_more():
    torch.manual_seed(0)
    label = torch.randint(0, 3, (300,))
    features = one_hot(label, 3) + 0.1 * torch.randn(300, 3)
    wrong = label.clone()
    wrong[60:] = (label[60:] + 1) % 3
    pictures, asked = Dataset({"label": wrong}), Dataset({"label": label})
    assert recipe.linear(features, features, pictures, asked, 60).double().mean() > 0.95
    assert recipe.linear(features, features, pictures, asked, 300).double().mean() < 0.3


def test_spread_is_none_where_all_queries_are_the_same():
    model = recipe.build(TINY, "momentum")
    asked = recipe.data(TINY, "validation")
    before = recipe.spread(model, asked)
    model.head.layers[-1].weight.data.zero_()
    assert recipe.spread(model, asked) < 1e-5 < before


def test_settings_that_do_not_fit_are_refused():
    for changes, said in (({"patch": 5}, "patch"), ({"shares": (0.01,)}, "shares")):
        with pytest.raises(ValueError, match=said):
            replace(TINY, **changes)
