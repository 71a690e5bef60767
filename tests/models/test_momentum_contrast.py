"""Momentum contrast against algorithm 1 of the paper, written out; and what learns."""

import pytest
import torch
import torch.nn.functional as F

from mmtutor.encoders import VisionTransformer
from mmtutor.losses.self_supervised import first_among
from mmtutor.models.momentum_contrast import MomentumContrast


def same(image):
    return image


def small(**options):
    torch.manual_seed(0)
    return MomentumContrast(VisionTransformer(16, 8, 4, 1, 4), same, 6, **({"queue": 10} | options))


def embedded(model, image, slow=False):
    reader, head = (model.slow_encoder, model.slow_head) if slow else (model.encoder, model.head)
    return F.normalize(head(reader(image).tokens.mean(dim=1)), dim=1)


def test_three_steps_are_those_of_the_algorithm():
    model, m = small(momentum=0.9, temperature=0.5), 0.9
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.5)
    queue = model.queue.clone()
    slow = [p.clone() for p in [*model.slow_encoder.parameters(), *model.slow_head.parameters()]]
    for _ in range(3):
        image = torch.rand(4, 3, 8, 8)
        quick = [*model.encoder.parameters(), *model.head.parameters()]
        slow = [m * k + (1 - m) * q.detach() for k, q in zip(slow, quick, strict=True)]
        output = model({"image": image})
        kept = [*model.slow_encoder.parameters(), *model.slow_head.parameters()]
        for found, expected in zip(kept, slow, strict=True):
            torch.testing.assert_close(found, expected)
        query, key = embedded(model, image), embedded(model, image, slow=True)
        for b in range(4):
            scores = torch.stack([query[b] @ key[b], *(query[b] @ old for old in queue)]) / 0.5
            torch.testing.assert_close(output.logits[b], scores)
        expected = F.cross_entropy(output.logits, torch.zeros(4, dtype=torch.int64))
        torch.testing.assert_close(first_among(output), expected)
        queue = torch.cat([key.detach(), queue])[:10]  # the oldest fall out
        torch.testing.assert_close(model.queue, queue)
        first_among(output).backward()
        optimizer.step()
        optimizer.zero_grad()


def test_no_gradient_reaches_the_key_encoder_or_the_queue():
    model = small()
    first_among(model({"image": torch.rand(4, 3, 8, 8)})).backward()
    learned = {name for name, p in model.named_parameters() if p.grad is not None}
    assert not any(name.startswith("slow") for name in learned)
    assert {name for name, p in model.named_parameters() if p.requires_grad} == learned
    assert any(name.startswith("encoder") for name in learned)
    assert not model.queue.requires_grad


def test_evaluation_changes_nothing():
    model = small().eval()
    before = {name: x.clone() for name, x in model.state_dict().items()}
    model({"image": torch.rand(4, 3, 8, 8)})
    assert all(torch.equal(x, before[name]) for name, x in model.state_dict().items())
    model.train()({"image": torch.rand(4, 3, 8, 8)})
    assert not torch.equal(model.queue, before["queue"])


def test_the_queue_may_be_shorter_than_a_batch_or_empty():
    image = {"image": torch.rand(4, 3, 8, 8)}
    short, none = small(queue=3), small(queue=0)
    assert short(image).logits.shape == (4, 4)
    assert short.queue.shape == (3, 6)
    assert none(image).logits.shape == (4, 1)
    assert first_among(none(image)) == 0


def test_views_are_drawn_for_queries_and_for_keys():
    calls = []

    def view(image):
        calls.append(image)
        return image * 0.5 ** len(calls)

    model = MomentumContrast(VisionTransformer(16, 8, 4, 1, 4), view)
    model({"image": torch.rand(2, 3, 8, 8)})
    assert len(calls) == 2
    assert torch.equal(*calls)


def test_bad_input_is_refused():
    for options, name in (({"queue": -1}, "queue"), ({"momentum": 1.5}, "momentum")):
        with pytest.raises(ValueError, match=name):
            small(**options)
    with pytest.raises(KeyError, match="image"):
        small()({})
