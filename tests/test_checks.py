"""Every check lets the right value through and says in one sentence what is wrong with another."""

import re

import numpy as np
import pytest
import torch

from mmtutor import checks

NAN = float("nan")


def says(error, sentence):
    return pytest.raises(error, match=f"^{re.escape(sentence)}$")


def test_a_list_of_strings_is_no_string():
    assert checks.listed(str, texts=("a", "b")) == ["a", "b"]
    assert checks.listed(str, texts=np.array(["a", "b"])) == ["a", "b"]
    assert checks.listed(int, ks=torch.tensor([1, 2])) == [1, 2]
    with says(TypeError, "texts must be a list, each element a string, got 'abc'"):
        checks.listed(str, texts="abc")
    with says(TypeError, "texts[1] must be a string, got None"):
        checks.listed(str, texts=["a", None])
    for wrong in ({"a": 1}, {"a"}, b"abc", 3, None, torch.tensor(1)):
        with pytest.raises(TypeError, match="texts must be a list"):
            checks.listed(str, texts=wrong)
    with says(TypeError, "ks[0] must be a whole number, got True"):
        checks.listed(int, ks=[True])


def test_lengths():
    assert checks.same_length(a=[1, 2], b=torch.zeros(2, 3)) == 2
    with says(
        ValueError, "a and b must be as long as each other, and not empty, got 2 and 1 elements"
    ):
        checks.same_length(a=[1, 2], b=[1])
    with says(ValueError, "a must be not empty, got 0 elements"):
        checks.same_length(a=[])
    with says(TypeError, "a must be a list, got 3"):
        checks.same_length(a=3)


@pytest.mark.parametrize("zero", [0, 1])
def test_a_mask_of_whole_numbers_becomes_one_of_booleans(zero):
    mask = torch.tensor([True, False, True])
    for same in (mask, mask.int(), mask.to(torch.uint8), mask.numpy(), mask.tolist(), [1, 0, 1]):
        assert torch.equal(checks.as_mask(mask=same), mask)
    with says(
        ValueError,
        "mask must be True or False (or 1 and 0) everywhere, got values from 0 to 2",
    ):
        checks.as_mask(mask=torch.tensor([0, 2]))
    for wrong in (mask.float(), "abc", None, ["a"]):
        with pytest.raises(TypeError, match="mask must be True or False"):
            checks.as_mask(mask=wrong)


def test_shapes_share_their_letters():
    logits, label = torch.zeros(4, 3), torch.zeros(4)
    assert checks.shaped(logits=(logits, "N C"), label=(label, "N")) == {"N": 4, "C": 3}
    assert checks.shaped(x=(torch.zeros(2, 3, 4), "... 4")) == {}
    checks.shaped(x=(None, "N | None"))
    checks.shaped(x=(torch.zeros(0, 2), "N? D"))
    for weights in (torch.zeros(4), torch.zeros(7, 4)):
        checks.shaped(label=(label, "N"), weights=(weights, "N | R N | None"))
    with says(ValueError, "label must be (N,) with N = 4, got float32 of shape (4, 1)"):
        checks.shaped(logits=(logits, "N C"), label=(label[:, None], "N"))
    with says(ValueError, "weights must be (N,) or (R, N) with N = 4, got float32 of shape (3,)"):
        checks.shaped(label=(label, "N"), weights=(torch.zeros(3), "N | R N | None"))
    with says(ValueError, "x must be (N, D), got float32 of shape (0, 2)"):
        checks.shaped(x=(torch.zeros(0, 2), "N D"))
    with says(ValueError, "x must be (B, 2), got float32 of shape (2, 3)"):
        checks.shaped(x=(torch.zeros(2, 3), "B 2"))
    with says(TypeError, "x must be a tensor (N,), got [1, 2]"):
        checks.shaped(x=([1, 2], "N"))
    with says(TypeError, "x must be a tensor (N,), got None"):
        checks.shaped(x=(None, "N"))


def test_finite_numbers():
    checks.finite(a=torch.full((9,), 3e38), b=None, c=3.0, d=np.ones(2), e=torch.ones(2).long())
    with says(ValueError, "a must be finite, got nan at [0, 1]"):
        checks.finite(a=torch.tensor([[1.0, NAN]]))
    with says(ValueError, "a must be finite, got inf at [1]"):
        checks.finite(a=torch.tensor([1.0, torch.inf, -torch.inf]))
    with says(TypeError, "a must be real, got complex64 of shape (1,)"):
        checks.finite(a=torch.ones(1) * 1j)
    with says(ValueError, "a must be finite, got nan"):
        checks.finite(a=NAN)
    with pytest.raises(TypeError, match="a must be a number or a tensor"):
        checks.finite(a="abc")


def test_dtypes():
    checks.floating(x=torch.zeros(2).half(), y=None)
    with says(TypeError, "x must be a floating-point tensor, got uint8 of shape (2,)"):
        checks.floating(x=torch.zeros(2, dtype=torch.uint8))
    checks.indices(3, label=torch.tensor([0, 2]), other=None)
    checks.indices(None, label=torch.tensor([0, 200]))
    for wrong in (torch.zeros(2), torch.zeros(2).bool(), [0, 1]):
        with pytest.raises(TypeError, match="label must be whole numbers"):
            checks.indices(3, label=wrong)
    with says(ValueError, "label must be whole numbers in [0, 3), got 3"):
        checks.indices(3, label=torch.tensor([0, 3]))
    with says(ValueError, "label must be whole numbers from 0 on, got -1"):
        checks.indices(None, label=torch.tensor([-1, 3]))


def test_numbers():
    checks.at_least(1, k=1, steps=np.int64(3))
    with says(ValueError, "k must be a whole number of at least 1, got 0"):
        checks.at_least(1, k=0)
    for wrong in (1.5, True, "3", None, NAN):
        with pytest.raises(TypeError, match="k must be a whole number of at least 1, got"):
            checks.at_least(1, k=wrong)
    checks.within("[0, 1)", p=0, q=np.float32(0.5), x=torch.tensor([0.0, 0.5]))
    checks.within("(0, inf)", p=1e300, q=3)
    for wrong in (0, torch.inf, NAN, -1):
        with pytest.raises(ValueError, match=r"p must be in \(0, inf\), got"):
            checks.within("(0, inf)", p=wrong)
    with says(ValueError, "p must be in [0, 1), got 1"):
        checks.within("[0, 1)", p=1)
    with says(ValueError, "image must be in [0, 1], got 255.0"):
        checks.within("[0, 1]", image=torch.tensor([0.0, 255.0]))
    with pytest.raises(ValueError, match="image must be in"):
        checks.within("[0, 1]", image=torch.tensor([0.0, NAN]))
    for wrong in ("0.5", None, True, [0.5], torch.zeros(2).bool()):
        with pytest.raises(TypeError, match=r"p must be (a )?numbers? in \[0, 1\), got"):
            checks.within("[0, 1)", p=wrong)


def test_options_and_types():
    checks.one_of(["macro", "micro"], average="micro")
    checks.one_of({"a": 1}, average=np.str_("a"))
    with says(ValueError, "average must be 'macro' or 'micro', got 'mirco'; did you mean 'micro'?"):
        checks.one_of(["macro", "micro"], average="mirco")
    for wrong in (None, 3, ["micro"], torch.zeros(2)):
        with pytest.raises(ValueError, match="average must be 'macro' or 'micro', got"):
            checks.one_of(["macro", "micro"], average=wrong)
    checks.instance(torch.nn.Module, model=torch.nn.ReLU())
    with says(TypeError, "model must be a Module, got 'resnet'"):
        checks.instance(torch.nn.Module, model="resnet")
    with says(TypeError, "x must be a string or a whole number, got 1.5"):
        checks.instance((str, int), x=1.5)
