"""The retrieval metrics against a loop anyone can read, and against hand-made cases."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from mmtutor.evaluation.retrieval.recall import (
    chance_recall,
    evaluate_retrieval,
    hit_rates,
    mean_reciprocal_rank,
    median_rank,
    ranks,
    recall_at_k,
    retrieval_report,
)


def brute_force_rank(scores: list[float], relevant: list[bool]) -> int:
    """The place of the first relevant item when equal scores are listed irrelevant items first."""
    order = sorted(range(len(scores)), key=lambda item: (-scores[item], relevant[item]))
    return 1 + next(place for place, item in enumerate(order) if relevant[item])


def random_case(seed: int) -> tuple[Tensor, Tensor]:
    """Few distinct scores, so many ties; one to many relevant items a query."""
    generator = torch.Generator().manual_seed(seed)
    queries, gallery = torch.randint(1, 9, (2,), generator=generator).tolist()
    similarity = torch.randint(-2, 3, (queries, gallery), generator=generator).float()
    relevant = torch.rand(queries, gallery, generator=generator) < 0.3
    sure = torch.randint(gallery, (queries, 1), generator=generator)
    return similarity, relevant.scatter(1, sure, torch.ones_like(sure, dtype=torch.bool))


def test_recall_equals_a_brute_force_loop_on_a_thousand_cases():
    ks, tied, several = (1, 2, 5, 10), 0, 0
    for seed in range(1000):
        similarity, relevant = random_case(seed)
        rank = [
            brute_force_rank(scores, truth)
            for scores, truth in zip(similarity.tolist(), relevant.tolist(), strict=True)
        ]
        expected = {k: sum(r <= k for r in rank) / len(rank) for k in ks}
        assert ranks(similarity, relevant).tolist() == rank
        assert recall_at_k(similarity, relevant, ks) == pytest.approx(expected)
        tied += any(len(row.unique()) < len(row) for row in similarity)
        several += bool((relevant.sum(1) > 1).any())
    assert min(tied, several) > 500  # the cases are as hard as they claim


def test_ties_count_against_the_model():
    relevant = torch.eye(4, dtype=torch.bool)
    assert ranks(torch.zeros(4, 4), relevant).tolist() == [4, 4, 4, 4]
    assert recall_at_k(torch.zeros(4, 4), relevant, (1, 3, 4)) == {1: 0.0, 3: 0.0, 4: 1.0}


def test_relevant_items_do_not_push_each_other_down():
    similarity = torch.tensor([[0.9, 0.9, 0.9, 0.1]])
    assert ranks(similarity, torch.tensor([[True, True, True, False]])).item() == 1
    assert ranks(similarity, torch.tensor([[True, True, False, False]])).item() == 2


def test_a_hit_needs_only_one_of_several_relevant_items():
    similarity = torch.tensor([[0.9, 0.1, 0.5]])
    assert recall_at_k(similarity, torch.tensor([[True, True, False]]), (1,)) == {1: 1.0}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions(dtype):
    similarity, relevant = random_case(3)
    assert torch.equal(ranks(similarity.to(dtype), relevant), ranks(similarity, relevant))


def test_one_item():
    assert recall_at_k(torch.zeros(1, 1), torch.ones(1, 1, dtype=torch.bool), (1, 5)) == {
        1: 1.0,
        5: 1.0,
    }


def test_masked_scores_of_minus_infinity():
    similarity = torch.tensor([[-torch.inf, -torch.inf, 0.0]])
    assert ranks(similarity, torch.tensor([[True, False, False]])).item() == 3


@pytest.mark.parametrize(
    ("similarity", "relevant", "error", "message"),
    [
        (torch.zeros(2, 3).long(), torch.ones(2, 3).bool(), TypeError, "similarity must be"),
        (torch.zeros(2, 3), torch.ones(2, 3), TypeError, "relevant must be True or False"),
        (torch.zeros(2, 3), torch.ones(3, 2).bool(), ValueError,
         r"relevant must be \(Q, G\) with Q = 2, G = 3, got bool of shape \(3, 2\)"),
        (torch.zeros(3), torch.ones(3).bool(), ValueError, r"similarity must be \(Q, G\)"),
        (torch.zeros(0, 3), torch.ones(0, 3).bool(), ValueError, r"of shape \(0, 3\)"),
        (torch.zeros(3, 3), torch.eye(3).roll(1).bool() & False, ValueError, "3 of 3 queries"),
        (torch.zeros(2, 3), torch.eye(2, 3).bool().flip(0) & torch.tensor([[True], [False]]),
         ValueError, "1 of 2 queries have no relevant item, the first is row 1"),
        (torch.tensor([[0.0, 1.0], [0.0, torch.nan]]), torch.eye(2).bool(), ValueError,
         r"similarity must be finite, got nan at \[1, 1\]"),
    ],
)  # fmt: skip
def test_bad_input_is_named(similarity, relevant, error, message):
    with pytest.raises(error, match=message):
        recall_at_k(similarity, relevant)


@pytest.mark.parametrize("ks", [(), (0, 1)])
def test_bad_ks(ks):
    with pytest.raises(ValueError, match="ks must"):
        hit_rates(torch.tensor([1]), ks)


def test_summaries_of_ranks_by_hand():
    assert median_rank(torch.tensor([9, 1, 2])) == 2
    assert median_rank(torch.tensor([1, 4, 2, 9])) == 3
    assert mean_reciprocal_rank(torch.tensor([1, 2, 4])) == pytest.approx((1 + 0.5 + 0.25) / 3)
    with pytest.raises(TypeError, match="whole numbers"):
        median_rank(torch.tensor([0.5]))


def test_chance_is_the_mean_over_random_orders():
    relevant = torch.tensor([[1, 0, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0], [1, 1, 1, 0, 1, 1]]).bool()
    generator = torch.Generator().manual_seed(0)
    scores = torch.rand(20_000, 6, generator=generator)
    simulated = [recall_at_k(scores, row.expand(20_000, 6), (1, 2, 9)) for row in relevant]
    chance = chance_recall(relevant, (1, 2, 9))
    for k in (1, 2, 9):
        assert chance[k] == pytest.approx(sum(s[k] for s in simulated) / 3, abs=0.01)
    assert chance[9] == 1
    assert chance_recall(torch.eye(200, dtype=torch.bool), (1, 5)) == pytest.approx(
        {1: 1 / 200, 5: 5 / 200}
    )


def test_report_has_both_directions():
    similarity = torch.tensor([[3.0, 0.0, 2.0], [1.0, 2.0, 0.0]])  # 2 images, captions 0, 0 and 1
    relevant = torch.tensor([[True, True, False], [False, False, True]])
    report = retrieval_report(similarity, relevant, ks=(1, 2))
    assert report["image_to_text_recall_at_1"] == 1 / 2
    assert report["image_to_text_median_rank"] == 2  # ranks 1 and 3
    assert report["text_to_image_recall_at_1"] == pytest.approx(1 / 3)  # ranks 1, 2 and 2
    assert report["text_to_image_recall_at_2"] == 1
    assert report["text_to_image_chance_at_1"] == pytest.approx(1 / 2)
    assert report["image_to_text_chance_at_1"] == pytest.approx((2 / 3 + 1 / 3) / 2)


class Output(NamedTuple):
    image: Tensor
    text: Tensor


class Echo(nn.Module):
    """A dual encoder whose embeddings are its input, and which must be in evaluation mode."""

    def forward(self, batch: dict[str, Tensor]) -> Output:
        assert not self.training
        return Output(batch["image"], batch["text"])


def batches(image: Tensor, text: Tensor, **columns: Tensor) -> list[dict[str, Tensor]]:
    parts = {"image": image, "text": text, **columns}
    return [
        {k: v[start : start + 2] for k, v in parts.items()} for start in range(0, len(image), 2)
    ]


def test_evaluate_retrieval_of_pairs_and_of_groups():
    image, text = torch.eye(3), torch.eye(3).roll(1, 0)  # every caption matches the next image
    model = Echo().train()
    assert evaluate_retrieval(model, batches(image, text))["image_to_text_recall_at_1"] == 0
    assert model.training
    group = torch.tensor([4, 4, 4])
    report = evaluate_retrieval(model, batches(image, text, group=group))
    assert report["image_to_text_recall_at_1"] == report["text_to_image_chance_at_1"] == 1


def test_evaluate_retrieval_equals_the_report_of_its_similarity():
    generator = torch.Generator().manual_seed(1)
    image, text = torch.randn(2, 9, 4, generator=generator)
    group = torch.tensor([0, 0, 1, 2, 2, 2, 3, 4, 5])
    expected = retrieval_report(image @ text.T, group[:, None] == group)
    assert evaluate_retrieval(Echo(), batches(image, text, group=group)) == pytest.approx(expected)


def test_evaluate_retrieval_needs_batches_and_groups_in_all_or_none():
    with pytest.raises(ValueError, match="no batch"):
        evaluate_retrieval(Echo(), [])
    mixed = batches(torch.eye(4), torch.eye(4), group=torch.arange(4))
    del mixed[0]["group"]
    with pytest.raises(ValueError, match="got 1 of 2"):
        evaluate_retrieval(Echo(), mixed)


def test_a_mask_of_0_and_1_is_a_mask_and_grades_are_none():
    similarity, relevant = random_case(5)
    assert torch.equal(ranks(similarity, relevant.long()), ranks(similarity, relevant))
    assert chance_recall(relevant.int()) == chance_recall(relevant)
    with pytest.raises(ValueError, match="relevant must be True or False"):
        ranks(similarity, relevant.long() * 3)
