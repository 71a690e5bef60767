"""Settings are checked when they are made, and a wrong one is named in one sentence."""

import re
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

from mmtutor.recipes.common import TrainConfig, settings
from mmtutor.recipes.common.config import Count, CountOrZero, Rate, Size, read_setting
from mmtutor.recipes.encoders import images


@settings
class Config(TrainConfig):
    """A recipe's."""

    epochs: Count = 7
    lr: Rate = 1e-3
    seed: CountOrZero = 0
    weight_decay: Size = 0.01
    names: tuple[str, ...] = ("a",)
    limit: Count | None = None


def test_numpy_numbers_and_lists_are_taken_as_they_are_meant():
    config = Config(epochs=np.int64(3), lr=np.float64(0.5), names=["b"], limit=np.int32(4))
    assert (config.epochs, config.lr, config.names, config.limit) == (3, 0.5, ("b",), 4)
    assert type(config.epochs) is int


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("epochs", "3", 3),
        ("lr", "1e-2", 0.01),
        ("names", '["b", "c"]', ("b", "c")),
        ("limit", "none", None),
        ("limit", "5", 5),
        ("precision", "bf16", "bf16"),
    ],
)
def test_a_setting_is_read_from_text_by_its_annotation(name, text, value):
    assert read_setting(Config, name, text) == value


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("epochs", "0", "epochs is '0': expected at least 1"),
        ("epochs", "x", "epochs is 'x': expected a whole number"),
        ("limit", "x", "limit is 'x': expected a whole number"),
        ("lr", "fast", "lr is 'fast': expected a number"),
        ("names", "b", """names is 'b': expected a list such as ["a"]"""),
        ("names", "[1]", "names[0] is 1: expected a text"),
        ("precision", "fp8", "precision is 'fp8': expected 'auto', 'fp32', 'fp16' or 'bf16'"),
    ],
)
def test_a_text_that_does_not_fit_is_named(name, text, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        read_setting(Config, name, text)


def test_a_recipe_adds_fields_and_changes_defaults():
    config = Config(names=["b", "c"], lr=1)
    assert (config.epochs, config.batch_size, config.names) == (7, 32, ("b", "c"))
    assert isinstance(config.lr, float)
    assert replace(config, epochs=3).epochs == 3


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"epochs": 0}, "epochs is 0: expected at least 1"),
        ({"lr": float("nan")}, "lr is nan: expected a finite number"),
        ({"lr": float("inf")}, "lr is inf: expected a finite number"),
        ({"batch_size": "many"}, "batch_size is 'many': expected a whole number"),
        ({"seed": -1}, "seed is -1: expected at least 0"),
        ({"weight_decay": -0.1}, "weight_decay is -0.1: expected at least 0"),
        ({"precision": "fp8"}, "precision is 'fp8': expected 'auto', 'fp32', 'fp16' or 'bf16'"),
        ({"epochz": 3}, "epochz: unexpected keyword argument"),
        ({"names": 3}, "names is 3: expected a list"),
        ({"names": ()}, "names is (): expected a list of at least one, none of them twice"),
        ({"names": ("b", "b")}, "none of them twice"),
        ({"lr": 0.0}, "lr is 0.0: expected more than 0"),
        ({"batch_size": True}, "batch_size is True: expected a whole number"),
        ({"batch_size": "8"}, "batch_size is '8': expected a whole number"),
        ({"batch_size": 2.0}, "batch_size is 2.0: expected a whole number"),
        ({"seed": 2**40}, "seed is 1099511627776: expected less than 2147483648"),
        ({"epochs": None}, "epochs is None: expected a whole number"),
        ({"precision": "fp61"}, "did you mean 'fp16'?"),
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
