"""The model that counts, against Witten and Bell's formula in plain Python."""

import pytest
import torch

from mmtutor.models.generative import NGram

TEXT = torch.tensor([0, 1, 0, 1, 2, 0, 1, 1, 0, 3])


def plainly(text: list[int], context: list[int], token: int, size: int) -> float:
    """Equation by equation, from the longest context to chance."""
    shorter = plainly(text, context[1:], token, size) if context else 1 / size
    n = len(context)
    followers = [text[i + n] for i in range(len(text) - n) if text[i : i + n] == context]
    if not followers:
        return shorter
    kinds = len(set(followers))
    return (followers.count(token) + kinds * shorter) / (len(followers) + kinds)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_it_is_the_formula_in_whatever_context(order):
    model, new = NGram(TEXT, order, 5), [0, 1, 4, 0, 1, 2, 0, 1, 3]
    expected = [
        plainly(TEXT.tolist(), new[max(0, i - order + 1) : i], token, 5)
        for i, token in enumerate(new)
    ]
    found = model.probability(torch.tensor(new))
    assert torch.allclose(found, torch.tensor(expected, dtype=torch.float64), atol=1e-12)
    for end in range(1, len(new)):
        p = model.next_probabilities(torch.tensor(new[:end]))
        assert p.sum() == pytest.approx(1)
        assert p[new[end]] == pytest.approx(expected[end])


def test_counts_of_bytes_do_not_run_over():
    text = torch.tensor([255, 254, 253, 252, 251, 250, 249, 248, 247])
    found = NGram(text, 7, 256).probability(text)
    expected = [
        plainly(text.tolist(), text[max(0, i - 6) : i].tolist(), int(text[i]), 256)
        for i in range(len(text))
    ]
    assert torch.allclose(found, torch.tensor(expected, dtype=torch.float64), atol=1e-12)


def test_bad_input_is_refused_in_words():
    with pytest.raises(ValueError, match="below 2 \\*\\* 63, got 8"):
        NGram(TEXT, 8, 256)
    with pytest.raises(ValueError, match="tokens"):
        NGram(TEXT, 2, 3)
    with pytest.raises(ValueError, match="at least 3"):
        NGram(TEXT[:2], 3, 5)
    with pytest.raises(ValueError, match="tokens"):
        NGram(TEXT, 2, 5).probability(torch.tensor([7]))
