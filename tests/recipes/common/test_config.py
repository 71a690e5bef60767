"""Settings are checked when they are made, and a wrong one is named in one sentence."""

from dataclasses import FrozenInstanceError, replace

import pytest

from mmtutor.recipes.common import TrainConfig, settings
from mmtutor.recipes.encoders import images


@settings
class Config(TrainConfig):
    """A recipe's."""

    epochs: int = 7
    names: tuple[str, ...] = ("a",)


def test_a_recipe_adds_fields_and_changes_defaults():
    config = Config(names=["b", "c"], lr=1)
    assert (config.epochs, config.batch_size, config.names) == (7, 32, ("b", "c"))
    assert isinstance(config.lr, float)
    assert replace(config, epochs=3).epochs == 3


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"epochs": 0}, "epochs is 0: expected a number above 0"),
        ({"lr": float("nan")}, "lr is nan: expected a number above 0"),
        ({"lr": float("inf")}, "lr is inf: expected a number above 0"),
        ({"batch_size": "many"}, "batch_size is 'many': expected a valid integer"),
        ({"seed": -1}, "seed is -1: expected a number of at least 0"),
        ({"weight_decay": -0.1}, "weight_decay is -0.1: expected a number of at least 0"),
        ({"precision": "fp8"}, "precision is 'fp8': expected 'auto', 'fp32', 'fp16' or 'bf16'"),
        ({"epochz": 3}, "epochz: unexpected keyword argument"),
        ({"names": 3}, "names is 3: expected a valid tuple"),
    ],
)
def test_a_wrong_setting_is_named(fault, message):
    for make in (Config, lambda **values: replace(Config(), **values)):
        if make is not Config and "epochz" in fault:
            continue
        with pytest.raises(ValueError, match=r"^Config: ") as error:
            make(**fault)
        assert message in str(error.value)
        assert "\n" not in str(error.value)


def test_settings_stay_as_they_are():
    with pytest.raises(FrozenInstanceError):
        Config().epochs = 3
    assert {Config(): 1}[Config()] == 1


def test_presets_are_those_of_the_recipe():
    assert images.Config.preset("tiny") is images.PRESETS["tiny"]
    with pytest.raises(ValueError, match="unknown preset 'huge': expected one of tiny, cpu"):
        images.Config.preset("huge")
