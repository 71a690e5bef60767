import pytest
import torch
import torch.nn.functional as F

from mmtutor.losses import next_token
from mmtutor.models.generative.gpt import GPTOutput

LOGITS = torch.randn(2, 4, 5, generator=torch.Generator().manual_seed(0))
TOKENS = torch.tensor([[1, 2, 3, 4], [4, 0, 1, 0]])


def test_each_token_is_judged_by_the_scores_before_it():
    loss = next_token(GPTOutput(LOGITS), {"tokens": TOKENS})
    expected = F.cross_entropy(LOGITS[:, :-1].flatten(0, 1), TOKENS[:, 1:].flatten())
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize("mask", [[1, 1, 1, 0], [0, 1, 1, 1]])
def test_padding_is_not_judged_and_foresees_nothing(mask):
    mask = torch.tensor([mask, [1, 1, 1, 1]]).bool()
    logits = LOGITS.clone().requires_grad_()
    loss = next_token(GPTOutput(logits), {"tokens": TOKENS, "tokens_mask": mask})
    one, two = (
        F.cross_entropy(LOGITS[i, m][:-1], TOKENS[i, m][1:], reduction="sum")
        for i, m in enumerate(mask)
    )
    torch.testing.assert_close(loss, (one + two) / 5)
    loss.backward()
    touched = logits.grad.abs().sum(-1) > 0
    assert touched.tolist() == [
        (mask[0] & torch.cat([mask[0, 1:], mask[0, :1] & False])).tolist(),
        [True, True, True, False],
    ]


def test_of_a_question_and_its_answer_the_answer_alone_is_judged():
    answer = torch.tensor([[0, 0, 1, 1], [1, 0, 0, 1]])  # the first token is foreseen by nothing
    mask = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]])
    loss = next_token(GPTOutput(LOGITS), {"tokens": TOKENS, "tokens_mask": mask, "answer": answer})
    expected = F.cross_entropy(LOGITS[[0, 1], [1, 2]], TOKENS[[0, 1], [2, 3]])
    torch.testing.assert_close(loss, expected)
    with pytest.raises(ValueError, match=r"answer must be \(2, 4\), got \(2, 3\)"):
        next_token(GPTOutput(LOGITS), {"tokens": TOKENS, "answer": answer[:, :3]})
    with pytest.raises(ValueError, match="must hold a text of at least two"):
        next_token(GPTOutput(LOGITS), {"tokens": TOKENS, "answer": answer * 0})


def test_texts_without_a_second_token_are_refused():
    for tokens, mask in ((TOKENS[:, :1], None), (TOKENS, TOKENS == 4)):
        batch = {"tokens": tokens} if mask is None else {"tokens": tokens, "tokens_mask": mask}
        with pytest.raises(ValueError, match="tokens must hold a text of at least two"):
            next_token(GPTOutput(LOGITS[:, : tokens.shape[1]]), batch)
    with pytest.raises(KeyError, match="lacks tokens"):
        next_token(GPTOutput(LOGITS), {"label": TOKENS})
