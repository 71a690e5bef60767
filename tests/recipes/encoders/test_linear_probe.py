import pytest
import torch

from mmtutor.encoders import EfficientNetLite0
from mmtutor.recipes.encoders.linear_probe import categories, features, normalised


@pytest.mark.usefixtures("stamps_cache")
def test_no_group_is_in_two_folds_and_every_label_has_a_name():
    data, names = categories(image_size=16)
    pairs = torch.stack([data.column("group"), data.column("fold")]).unique(dim=1)
    assert pairs.shape[1] == len(data.column("group").unique())
    assert data.column("fold").unique().tolist() == [0, 1, 2, 3, 4]
    assert data.column("label").unique().tolist() == list(range(len(names)))
    assert names[data.column("label")[0]] == "animals"  # the first stamp is a frog


def test_features_are_those_of_the_encoder():
    tower = EfficientNetLite0()
    images = torch.randint(256, (3, 3, 32, 32), dtype=torch.uint8)
    found = features(tower, images, batch_size=2)
    torch.testing.assert_close(found, tower(images.float() / 255).pooled(), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(found, features(tower, images, lambda x: x.float() / 255))


def test_the_right_preprocessing_is_pixel_less_127_by_128():
    pixels = torch.tensor([[[[0, 127, 255]]]], dtype=torch.uint8)
    torch.testing.assert_close(
        normalised(pixels).flatten(), torch.tensor([-127 / 128, 0.0, 1.0]), rtol=0, atol=1e-6
    )
