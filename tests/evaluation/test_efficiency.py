import torch

from mmtutor.evaluation.efficiency import saved_bytes, seconds


def test_saved_bytes_counts_each_tensor_once():
    x = torch.randn(10, 10, requires_grad=True)
    assert saved_bytes(lambda: x.exp().sum()) == 400  # exp keeps its result
    assert saved_bytes(lambda: (x * x).sum()) == 400  # and a product both, here the same
    assert saved_bytes(lambda: x.detach().exp().sum()) == 0


def test_seconds_calls_once_more_than_it_counts():
    calls = []
    assert seconds(lambda: calls.append(1), repeats=3) >= 0
    assert len(calls) == 4
