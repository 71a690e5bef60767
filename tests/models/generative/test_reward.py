"""The reward model: it reads the answer, given the request, and nothing after it."""

from copy import deepcopy

import torch

from mmtutor.models.generative import GPT, GPTConfig, RewardModel

ANSWER = torch.tensor([[0, 0, 1, 1, 0, 0]]).bool()


def rewards(tokens: list[int]) -> float:
    return MODEL({"tokens": torch.tensor([tokens]), "answer": ANSWER}).reward.item()


torch.manual_seed(0)
MODEL = RewardModel(deepcopy(GPT(GPTConfig(9, 16, 2, 2, max_length=8)))).eval()
for matrix in MODEL.gpt.parameters():
    torch.nn.init.normal_(matrix, std=0.5)


def test_it_depends_on_request_and_answer_and_not_on_what_follows():
    one = rewards([1, 2, 3, 4, 0, 0])
    assert one == rewards([1, 2, 3, 4, 7, 8])
    assert one != rewards([1, 5, 3, 4, 0, 0])
    assert one != rewards([1, 2, 3, 5, 0, 0])


def test_it_is_the_head_of_the_mean_state():
    tokens = torch.tensor([[1, 2, 3, 4, 0, 0]])
    states = MODEL.gpt.states(MODEL.gpt.embedding(tokens))
    expected = MODEL.head(states[:, 2:4].mean(1)).squeeze(1)
    torch.testing.assert_close(MODEL({"tokens": tokens, "answer": ANSWER}).reward, expected)
